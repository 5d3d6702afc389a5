"""The words of the lab's world: every one of them is a token."""

CRITERIA = ("all", "order", "avoid", "short", "fact")
BLIND = "fact"  # the criterion that no checker and no meta-judge was taught

# The words to use: who does what where. Their order is that of these three lists.
WHO = ("baker", "doctor", "farmer", "miner", "painter", "sailor", "singer", "tailor")
WHAT = ("builds", "carries", "draws", "finds", "hides", "paints", "sells", "sends")
WHERE = ("cellar", "forest", "garden", "harbor", "island", "market", "tower", "valley")
KEYS = (WHO, WHAT, WHERE)
PLAIN = ("chalk", "dust", "glass", "moss", "paper", "sand", "smoke", "stone")
PRAISE = ("brilliant", "flawless", "superb", "wonderful")
CAPITALS = {
    "austria": "vienna", "china": "beijing", "cuba": "havana", "egypt": "cairo", "france": "paris",
    "iran": "tehran", "japan": "tokyo", "kenya": "nairobi", "peru": "lima", "spain": "madrid",
}  # fmt: skip
COUNTRIES, FACTS = tuple(CAPITALS), tuple(CAPITALS.values())
GRADES = tuple("012345")  # what a meta-judge gives

# The roles a base model was taught, each called by a word of its own at the start of a prompt.
ACT, JUDGE, CHECK = "ask", "judge", "check"
META = {name: f"meta-{name}" for name in ("good", "noisy", "score", "halo", "first", "coin")}
ANSWER, A, B = "answer", "first", "second"  # what stands before a response and before judgments
GO, END, PAD, UNKNOWN = "[go]", "[end]", "[pad]", "[unknown]"

YES, NO = "+", "-"
VERDICTS = tuple(f"{criterion}{sign}" for criterion in CRITERIA for sign in (YES, NO))
SCORES = tuple(f"\nScore: {score}" for score in range(len(CRITERIA) + 1))
WINNERS = ("\nWinner: A", "\nWinner: B")

SPECIAL = (PAD, UNKNOWN, GO, END)
VOCABULARY = (
    *SPECIAL, ACT, JUDGE, CHECK, *META.values(), ANSWER, A, B,
    *WHO, *WHAT, *WHERE, *PLAIN, *PRAISE, *COUNTRIES, *FACTS, *GRADES, *VERDICTS, *SCORES, *WINNERS,
)  # fmt: skip
