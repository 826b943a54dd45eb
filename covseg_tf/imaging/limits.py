"""What one input may cost at most; far above any film, far below a bomb."""

# Rows times columns of an image or a frame, as its header states them.
MAX_PIXELS = 100_000_000
# Bytes of one decoded image: 100 Mpixel of 16-bit grey four times over.
MAX_DECODED = 800_000_000
# Bytes of one file, or of one member of an archive, that are held at once.
MAX_FILE = 1 << 30
# Bytes of a volume, as it is stored and as grey levels.
MAX_VOLUME = 1 << 30
# Planes of a volume along any axis; each is a run of the network.
MAX_SLICES = 5000
# Members of a gzip file; those who pack in blocks of 64 KB write 16,000 in 1 GB.
MAX_MEMBERS = 50_000
# Bytes of standard input.
MAX_STDIN = 512 << 20
# Pages of a TIFF or frames of a DICOM file.
MAX_FRAMES = 1000
# Reads of a DICOM parser in one file: an element takes two or three.
MAX_READS = 300_000
# Bytes of one header value that is looked at.
MAX_VALUE = 1 << 20
# Bytes of an archive's list of members, some 100 a member.
MAX_DIRECTORY = 16 << 20
# Unpacked to packed, looked at from 2 GB (an archive) or 100 MB (a member) on.
MAX_RATIO = 100
