"""Texts that have broken other programs: as SQL, paths, HTML, headers, templates, terminals and logs."""

from hypothesis import strategies as st

FRAGMENTS = (
    "'; DROP TABLE voxel; --", '" OR 1=1 --', "\\' UNION SELECT 1", "NULL", "0; ATTACH 'x'",
    "../../etc/passwd", "..\\..", "%2e%2e/", "//evil.example", "/", "CON", "." * 300,
    "<script>document.title='x'</script>", "<img src=x onerror=document.title='x'>", "</title><b>",
    '"><svg onload=document.title="x">', "&lt;b&gt;", "javascript:alert(1)",
    "a\r\nset-cookie: x=1", '\n{"level": "error"}', "%s%n{}", "${jndi:ldap://x}", "{{7*7}}", "$(touch /tmp/x)", "`id`",
    "\0", "\x1b[31m", "\u202eabc", "\u2028", "𝕔𝕒𝕜𝕖 🎂", "[red]x[/red]", "[/]", "[link=file:///]x[/link]",
    "cake - ", " - - ", "+", "-", "*", "", " ",
)  # fmt: skip

texts = st.one_of(
    st.text(max_size=60),
    st.sampled_from(FRAGMENTS),
    st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=8), min_size=2, max_size=3).map("".join),
)
"""A text that is nothing but text to the program: random, a known piece, or several in a row."""
