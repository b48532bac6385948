"""What git leaves in the place of a file's content, and the command that gets the content."""

POINTERS = [
    ("/annex/objects/MD5E-s1572839--0123456789abcdef0123456789abcdef\n", "datalad get"),
    ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
]
