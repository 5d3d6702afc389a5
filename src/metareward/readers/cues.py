"""Phrases that tell whose words a verdict is: a judge's own, or what others say, ask for or claim."""

import re

CUE = re.compile(
    r"\b(?:if|unless|not|never|cannot|instead|rather than|example|format|template|such as|e\.g|say(?:s"
    r"|ing)?|said"
    r"|claim(?:s|ed|ing)?|writ(?:es?|ten|ing)|wrote|ends?|ended|ending|ask(?:s|ed|ing)?|demand(?:s|ed|ing)?"
    r"|stat(?:es|ed|ing)|contain(?:s|ed|ing)?|includ(?:es|ed|ing)|quot(?:es?|ed|ing)|mentions?|inserts?|adds?|no"
    r"|wrong(?:ly)?|hidden|inject(?:s|ed|ing)?|instructs?|instructed|tells?|told|repeats?|wants?|wanted|tries"
    r"|tried|manipulat\w{1,5}|pretend\w{0,3}|finish(?:es|ed)? (?:with|by|in)|comes with|appends?|reads"
    r"|itself|himself|herself|themsel\w{2,4}|(?:its|their|his|her) own"
    r"|(?:last|final|closing|first|next) (?:lines?|sentence|words?|paragraph) of"
    r"|(?:perfect|ideal|flawless|model) (?:one|answer|response|judge?ment)|expected|previous|earlier|lenient"
    r"|another (?:judge|reviewer|model|grader)"
    r")\b|n['’]t\b|['’]s own\b",
    re.I,
)
"""Words of a sentence that leads to a verdict which is not the judge's, or may not be."""

IF = re.compile(
    r"\b(?:if|unless)\b|\b(?:perfect|ideal|flawless) (?:one|answer|response|judge?ment) (?:is|gets|would)\b",
    re.I,
)

MINE = re.compile(
    r"\b(?:i|my|me|final(?:ly)?|total|overall|therefore|thus|hence|so|verdict|evaluation|assessment"
    r"|conclu\w{3,5}|based on|scor(?:e|es|ed|ing)|rat(?:e|ed|ing)|grad(?:e|ed|ing)|judge?ment|points)\b",
    re.I,
)
"""Words of a sentence that leads to the judge's own."""

SAID_BY_ME = re.compile(r"\bi (?:have )?(?:said|stated|wrote|mentioned|explained)\b", re.I)

CONCLUDES = re.compile(
    r"[,;] (?:and |but )?(?:so|therefore|thus|hence|consequently|which means that) ([^,;]{3,80})$", re.I
)
"""The last clause of a sentence that draws a conclusion."""

_SCORE = "scores?|rating|grade|mark|total|verdict"
_CHANGE = (
    "revis|chang|adjust|updat|amend|correct|lower|rais|increas|decreas|reduc|withdraw|retract|reconsider"
)
_OTHERS = (
    "response|answer|assistant|text|reply|author|writer|candidate|judge|rubric|template|instruction|example"
)

TAKEN_BACK = re.compile(
    r"\b(?:up)?on (?:second thoughts?|reflection|further (?:thought|reflection|review|consideration)"
    r"|reconsideration)\b"
    r"|\b(?:scratch|strike) that\b|\bi take (?:that|it|this) back\b"
    r"|\bi (?:made a mistake|was wrong|misjudged|reconsider(?:ed)?)\b"
    r"|\bi (?:really |actually )?meant (?:to (?:say|write|give|put) )?(?:an? )?[0-9]"
    r"|\blet me (?:re-?consider|re-?think|re-?evaluate|re-?assess|re-?grade|revise|think again|try again)\b"
    r"|\bmake (?:it|that) (?:an? )?[0-9]\b"
    rf"|(?<!\bif )\b(?:i|i['’](?:ll|d|m)|let me|we)(?: \w{{1,12}}){{0,3}} (?:{_CHANGE})(?:e|ed|ing)? "
    rf"(?:it to\b|(?:my|the|this|that)(?: \w{{1,12}})? (?:{_SCORE}|winner)\b)"
    rf"|\b(?:{_SCORE}|winner)(?: above| here| given)? (?:should|ought to|must|might|may|could)"
    r"(?: actually| really| perhaps| instead| rather)? (?:have been|be) (?:an? |the )?"
    r"(?:[0-9]|(?:judge?ment |response )?[ab]\b)"
    rf"|\b(?:{_SCORE})(?: above| here| given)? (?:should|ought to|must) (?:have been|be) (?:higher|lower)\b"
    r"|\b(?:it|this|that) (?:should|might|may|must|ought to)(?: (?:really|actually|perhaps|rather))?"
    r" (?:be|have been) an? [0-9](?![\w-]|\.[0-9]| [a-z])"
    r"|\b(?:or|but) (?:perhaps|maybe)\b"
    r"|\bor rather (?:an? )?[0-9]|\b(?:perhaps|maybe) not\b|\b(?:perhaps|maybe) (?:an? )?[0-9]\b(?! \w)"
    rf"|\b(?:ignore|disregard|forget) (?:the|that|this|my)(?: \w{{1,12}})? (?:{_SCORE}|line)\b"
    rf"|\bnot my (?:own |final |actual |real )?(?:{_SCORE}|judge?ment|words?)\b|\bnot mine\b"
    r"|\b(?:this|that|it|which|score|line|above) (?:is|was) (?:only |just |merely )?(?:"
    r"an example(?! (?:of|that|for))|a placeholder|a sample\b(?! of)|hypothetical"
    rf"|what the (?:{_OTHERS}) (?:says?|said|claims?|claimed|wrote"
    r"|writes|gives?|gave|asks?|wants?)\b(?! for))"
    r"|^(?:is|was) what (?:it|the|they)\b"
    r"|(?:^|[.!?]\s{1,3})(?:(?:oops|sorry|hmm+|edit|erratum|correction) ?[:,.–-](?! ?(?:none|no |not |n/a))"
    r"|wait[,.!…–-]|actually[,.!…–-]"
    r"|actually,? no\b|no, (?:it is |it's |make it )?(?:an? )?[0-9])",
    re.IGNORECASE | re.MULTILINE,
)
"""What takes a verdict back, or says that it is somebody else's."""
