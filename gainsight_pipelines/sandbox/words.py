"""Word lists for the generated data. All names are invented."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Amara Bruno Chiara Dmitri Eszter Farid Greta Hiro Ingrid Jonas Katya Lamar Mireille Nadia Oskar Priya "
    "Quentin Renata Søren Tomás Ulrike Valeria Wendell Ximena Yusuf Zofia Anselm Beatriz Corin Delphine"
)
LAST_NAMES = _words(
    "Abernethy Bakshi Castellan Dragomir Eklund Farnsby Grünewald Hollenbeck Ishiguro-Wells Jankovic Kowalczuk "
    "Lindqvist Mbeki-Stone Nakagawa Okonjo Pellegrino Quillfeather Rasmussen Sorensen Tarkovsky Underhill "
    "Vasquez Whitlock Yamane Zambrano Ashdown Birkhoff Calloway"
)
COMPANY_FIRST = _words(
    "Alder Basalt Cobalt Delta Ember Fjord Granite Harbor Indigo Juniper Kestrel Lumen Meridian Nimbus "
    "Orchard Pinnacle Quarry Ridge Summit Tundra Umber Vantage Willow Xylo Yarrow Zephyr Birch Cinder Drift Elm "
    "Foxglove Glacier"
)
COMPANY_SECOND = _words(
    "Analytics Biotech Cargo Dynamics Energy Foods Grid Health Insurance Joinery Kinetics Labs Mobility Networks "
    "Optics Payments Robotics Systems Telecom Utilities Ventures Works"
)
COMPANY_ENDINGS = ("Inc.", "GmbH", "Ltd", "AG", "S.A.", "LLC", "Group", "")
REGIONS = ("EMEA", "NA", "APAC", "LATAM")
CHILD_ENDINGS = ("Nordics", "Iberia", "UK", "Benelux", "Canada", "Japan", "Federal", "Brasil")

SUBJECTS = (
    "Weekly check-in",
    "Kick-off call",
    "Renewal discussion",
    "Executive business review",
    "Onboarding: data import",
    "Escalation: slow dashboards",
    "Roadmap preview",
    "Adoption review",
    "Training for new admins",
    "Re: invoice question",
    "Health score dropped",
    "Next steps after the pilot",
    "Champion is leaving 😟",
    "Besprechung zur Verlängerung",
    "打ち合わせ: 新機能",
    "Goal reached 🎉",
)
SENTENCES = (
    "We went through the open tickets and agreed on an owner for each.",
    "The team wants to see usage by region before the next review.",
    "Procurement asks for the renewal quote two weeks earlier than last year.",
    "They are happy with the new export & ask for a scheduled one.",
    "Log-ins went down after the re-organisation; a training is planned.",
    "Budget is confirmed for the coming fiscal year.",
    "Security review is still open: SSO settings < 30 days old are missing.",
    "The sponsor will move to another role; we need a second contact.",
    "Für den Rollout fehlen noch zwei Freigaben.",
    "L’équipe support a résolu l’incident en moins d’une heure.",
    "次回は来月の第一週に実施します。",
    "Great energy in the room 🚀 — they want to be a reference.",
    "Risk: a competitor offered a lower price for the same modules.",
    "The integration sends duplicates; engineering has reproduced it.",
)
COMMENTS = (
    "Works well, support is quick.",
    "Reports are slow on Mondays.",
    "Would like an offline mode.",
    "Très bon produit, merci !",
    "It does what it says 👍",
    "Too many clicks to export.",
    "",
    "Onboarding took longer than promised.",
)
CATEGORIES = (
    ("Email", 22),
    ("email", 6),
    (" MEETING ", 4),
    ("Meeting", 20),
    ("Call", 16),
    ("call ", 2),
    ("Update", 14),
    ("Risk", 5),
    ("EBR ", 3),
    ("Verified Outcome", 2),
    ("Onboarding Call", 3),
    (None, 3),
)
"""Reporting categories with their weights; blanks and case as people and imports leave them."""
EXPECTED_TYPES = {
    "Email": "EMAIL",
    "email": "EMAIL",
    " MEETING ": "MEETING",
    "Meeting": "MEETING",
    "Call": "MEETING",
    "call ": "MEETING",
    "Update": "TYPE_MANUAL",
    "Risk": "TYPE_MANUAL",
}
"""The activity type that the default mapping gives each category; the others are kept as TYPE_MANUAL."""
METRICS = ("Active Users", "Logins", "API Calls", "Reports Created")
DIMENSIONS = ("Core", "Mobile", "Reporting")
