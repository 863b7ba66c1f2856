"Texts for the tests of this package, made of pieces of reports."

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIECES = [
    "FINDINGS:", "IMPRESSION", "lMPRESSI0N:", "PLAN:,", "Dear Dr. X,", "cc:", "DIAGNOSIS", "\n", "\n\n", ",", " ",
    "\t", "|", ":", ".", "(", ")", "-", "<", "Potassium", "K", "Hb", "WBC", "5.9", "3,5", "1O.2", "mmol/L",
    "10^9/L", "K/uL", "(3.5-5.1)", "3.5-5.1", "H", "was elevated at", "J18.9", "no effusion", "**", "##", "1.",
    "\r\n", "\f", "é", "μ", "Electronically signed by",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join),
)
