"""Pictures drawn by formula that are no chest X-ray: pages, scenes, bones, noise.

Each takes a NumPy generator and returns uint8 `(256, 256)`.
"""

import cv2
import numpy as np

SIDE = 256
WORDS = ["the", "lung", "film", "of", "patient", "chest", "view", "no", "12", "AP"]


def page(rng):
    """Printed text, black on white or white on black."""
    canvas = np.full((SIDE, SIDE), 255, np.uint8)
    scale, step = rng.uniform(0.25, 0.8), int(rng.integers(8, 28))
    font = int(rng.integers(0, 5))
    for y in range(int(rng.integers(8, 30)), SIDE, step):
        if rng.random() < 0.9:
            line = " ".join(rng.choice(WORDS, rng.integers(2, 10)))
            cv2.putText(canvas, line, (int(rng.integers(2, 40)), y), font, scale, 0, 1)
    return canvas if rng.random() < 0.7 else 255 - canvas


def screen(rng):
    """Windows, bars and buttons."""
    canvas = np.full((SIDE, SIDE), int(rng.integers(0, 256)), np.uint8)
    for _ in range(rng.integers(3, 14)):
        first, second = rng.integers(0, SIDE, (2, 2)).tolist()
        fill = -1 if rng.random() < 0.7 else int(rng.integers(1, 4))
        cv2.rectangle(canvas, first, second, int(rng.integers(0, 256)), fill)
    for _ in range(rng.integers(0, 12)):
        corner = rng.integers(0, SIDE, 2).tolist()
        text = " ".join(rng.choice(WORDS, 3))
        cv2.putText(canvas, text, corner, 0, 0.35, int(rng.integers(0, 256)), 1)
    return canvas


def drawing(rng):
    """Lines, circles and polygons."""
    back = int(rng.choice([0, 255, rng.integers(0, 256)]))
    canvas = np.full((SIDE, SIDE), back, np.uint8)
    for _ in range(rng.integers(1, 25)):
        kind, level = rng.integers(4), int(rng.integers(0, 256))
        points = rng.integers(0, SIDE, (int(rng.integers(3, 7)), 2)).astype(np.int32)
        fill = -1 if rng.random() < 0.5 else int(rng.integers(1, 6))
        centre = points[0].tolist()
        if kind == 0:
            cv2.circle(canvas, centre, int(rng.integers(3, 120)), level, fill)
        elif kind == 1:
            cv2.line(canvas, centre, points[1].tolist(), level, max(fill, 1))
        elif kind == 2:
            cv2.fillPoly(canvas, [points], level)
        else:
            axes = rng.integers(5, 120, 2).tolist()
            angle = float(rng.uniform(0, 180))
            cv2.ellipse(canvas, centre, axes, angle, 0, 360, level, fill)
    return _soften(rng, canvas)


def leaves(rng):
    """Dead leaves: occluding discs of all sizes, the statistics of a scene."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(rng.integers(60, 400)):
        radius = int(min(110, 4 / rng.random() ** 0.7))
        centre = rng.integers(0, SIDE, 2).tolist()
        level = int(rng.integers(0, 256))
        if rng.random() < 0.5:
            cv2.circle(canvas, centre, radius, level, -1)
        else:
            first = [c - radius for c in centre]
            second = [c + int(radius * rng.uniform(0.2, 2)) for c in centre]
            cv2.rectangle(canvas, first, second, level, -1)
    mixed = 0.7 * canvas + 0.3 * clouds(rng)
    return _soften(rng, mixed.astype(np.uint8))


def clouds(rng):
    """Noise whose spectrum falls as a power of the frequency."""
    y, x = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    radius = np.hypot(x * rng.uniform(0.5, 2), y)
    radius[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    field = np.fft.irfft2(spectrum / radius ** rng.uniform(0.3, 2.2), (SIDE, SIDE))
    return cv2.normalize(field, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def noise(rng):
    """White noise, of one of three laws."""
    shape = (SIDE, SIDE)
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(0, 256, shape).astype(np.uint8)
    if kind == 1:
        sigma, mean = rng.uniform(3, 60), rng.uniform(20, 230)
        return np.clip(rng.normal(mean, sigma, shape), 0, 255).astype(np.uint8)
    return (255 * (rng.random(shape) < rng.uniform(0.01, 0.5))).astype(np.uint8)


def blank(rng):
    """One level, or nearly."""
    canvas = np.full((SIDE, SIDE), float(rng.integers(0, 256)))
    canvas += rng.normal(0, 1.5, canvas.shape) * (rng.random() < 0.6)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def gradient(rng):
    """A ramp, a spot or stripes."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    kind = rng.integers(3)
    if kind == 1:
        centre = rng.uniform(0.1, 0.9, 2)
        along = np.hypot(x - centre[0], (y - centre[1]) * rng.uniform(0.5, 2))
    if kind == 2:
        along = np.sin(along * rng.uniform(6, 120))
    field = cv2.normalize(along, None, 0, 255, cv2.NORM_MINMAX)
    field = np.clip(field + rng.normal(0, 4, field.shape), 0, 255).astype(np.uint8)
    return 255 - field if rng.random() < 0.5 else field


def hand(rng):
    """Five rays of short bones in soft tissue."""
    soft, bone = np.zeros((2, SIDE, SIDE), np.float32)
    wrist = np.array([SIDE / 2 + rng.uniform(-20, 20), SIDE * 0.8])
    spread, size = rng.uniform(0.18, 0.32), rng.uniform(0.8, 1.2)
    for finger in range(5):
        angle = -np.pi / 2 + (finger - 2) * spread + rng.uniform(-0.05, 0.05)
        start = wrist.copy()
        for length in (65, 45, 30, 18):
            end = start + size * length * np.array([np.cos(angle), np.sin(angle)])
            ends = [tuple(int(v) for v in p) for p in (start, end)]
            cv2.line(soft, *ends, 0.4, int(22 * size))
            cv2.line(bone, *ends, 0.4, int(9 * size))
            cv2.circle(bone, ends[1], int(6 * size), 0.45, -1)
            start = end + 3 * np.array([np.cos(angle), np.sin(angle)])
    cv2.rectangle(soft, (int(wrist[0] - 30), 190), (int(wrist[0] + 30), 256), 0.4, -1)
    for shift in (-13, 13):
        x = int(wrist[0] + shift)
        cv2.line(bone, (x, 210), (x, 256), 0.4, 16)
    return _expose(rng, soft, bone)


def limb(rng):
    """One or two long bones, perhaps with a joint."""
    soft, bone = np.zeros((2, SIDE, SIDE), np.float32)
    middle, width = int(rng.uniform(90, 165)), int(rng.uniform(60, 150))
    cv2.line(
        soft, (middle, -20), (middle + int(rng.uniform(-40, 40)), 280), 0.35, width
    )
    for shift in rng.uniform(-0.25, 0.25, rng.integers(1, 3)):
        x, thick = int(middle + shift * width), int(width * rng.uniform(0.12, 0.3))
        tilt = int(rng.uniform(-25, 25))
        cv2.line(bone, (x, -20), (x + tilt, 280), 0.45, thick)
        cv2.line(bone, (x, -20), (x + tilt, 280), 0.3, max(1, thick // 2))
    if rng.random() < 0.6:
        joint = (middle, int(rng.uniform(60, 200)))
        cv2.ellipse(bone, joint, (width // 3, width // 4), 0, 0, 360, 0.5, -1)
        cv2.line(bone, (20, joint[1]), (236, joint[1]), 0.1, 4)
    return _expose(rng, soft, bone)


def side_view(rng):
    """A chest from the side: one dark field, the spine behind, the heart in front."""
    soft, bone = np.zeros((2, SIDE, SIDE), np.float32)
    centre = (int(rng.uniform(115, 140)), 130)
    cv2.ellipse(soft, centre, (int(rng.uniform(85, 115)), 145), 0, 0, 360, 0.6, -1)
    lung = np.zeros_like(soft)
    axes = (int(rng.uniform(50, 75)), int(rng.uniform(75, 105)))
    tilt = rng.uniform(-15, 15)
    cv2.ellipse(lung, (centre[0] - 5, 115), axes, tilt, 0, 360, 0.4, -1)
    base = int(rng.uniform(165, 205))
    cv2.ellipse(lung, (centre[0], base + 35), (90, 45), 12, 0, 360, 0.0, -1)
    heart = (centre[0] - 35, 160)
    cv2.ellipse(lung, heart, (38, 48), 25, 0, 360, 0.12, -1)
    soft -= cv2.GaussianBlur(lung, (0, 0), 5)
    x = centre[0] + int(rng.uniform(45, 70))
    for y in range(5, SIDE, 22):
        cv2.rectangle(bone, (x - 14, y), (x + 14, y + 16), 0.25, -1)
    for y in range(30, 220, 24):
        cv2.ellipse(bone, (centre[0], y - 30), (80, 60), 20, 20, 120, 0.07, 4)
    picture = _expose(rng, soft, bone)
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture[:, ::-1])


def skull(rng):
    """A bright oval with darker holes, or a pelvis of rings."""
    soft, bone = np.zeros((2, SIDE, SIDE), np.float32)
    axes = (int(rng.uniform(70, 110)), int(rng.uniform(85, 120)))
    cv2.ellipse(soft, (128, 128), axes, 0, 0, 360, 0.45, -1)
    cv2.ellipse(bone, (128, 128), axes, 0, 0, 360, 0.4, int(rng.integers(6, 16)))
    for _ in range(rng.integers(2, 5)):
        x, y = int(rng.uniform(30, 60)), int(rng.uniform(110, 200))
        hole = rng.integers(10, 30, 2).tolist()
        for centre in ((128 - x, y), (128 + x, y)):
            cv2.ellipse(bone, centre, hole, 0, 0, 360, 0.3, int(rng.integers(3, 9)))
    cv2.line(bone, (128, 128), (128, 256), 0.25, int(rng.integers(10, 40)))
    return _expose(rng, soft, bone)


def slice_of_chest(rng):
    """An axial slice as a lung window shows it: air black, two lungs, a spine."""
    body, lung, bone = np.zeros((3, SIDE, SIDE), np.float32)
    wide, high = int(rng.uniform(85, 122)), int(rng.uniform(60, 95))
    centre = (int(rng.uniform(118, 138)), int(rng.uniform(115, 140)))
    cv2.ellipse(body, centre, (wide, high), 0, 0, 360, rng.uniform(0.55, 0.9), -1)
    for side in (-1, 1):
        axes = [int(v) for v in (wide * rng.uniform(0.3, 0.4), high * 0.66)]
        middle = (centre[0] + int(side * wide * rng.uniform(0.42, 0.5)), centre[1])
        cv2.ellipse(lung, middle, axes, side * rng.uniform(-5, 15), 0, 360, 1.0, -1)
    heart = (centre[0] + int(rng.uniform(-5, 20)), centre[1] - high // 4)
    cv2.ellipse(lung, heart, (wide // 4, high // 3), 20, 0, 360, 0.0, -1)
    spine = (centre[0], centre[1] + int(high * 0.62))
    cv2.ellipse(bone, spine, (wide // 8, high // 7), 0, 0, 360, 0.4, -1)
    rim = (int(wide * 0.85), int(high * 0.85))
    cv2.ellipse(bone, centre, rim, 0, 0, 360, rng.uniform(0, 0.3), 3)
    air = rng.uniform(0.02, 0.45)
    vessels = np.maximum(clouds(rng) / 255.0 - 0.6, 0) * rng.uniform(0, 1.5)
    lung = cv2.GaussianBlur(lung, (0, 0), rng.uniform(0.5, 2))
    picture = body * (1 - lung) + lung * (air + vessels) + bone * (1 - lung)
    if rng.random() < 0.5:
        y = min(SIDE - 1, centre[1] + high + 8)
        cv2.ellipse(picture, (128, y - 20), (110, 30), 0, 20, 160, 0.4, 3)
    picture += rng.normal(0, rng.uniform(0.005, 0.05), picture.shape)
    return np.clip(255 * picture, 0, 255).astype(np.uint8)


def _expose(rng, soft, bone):
    """From thickness to a film: blur, grain, a background level."""
    soft = cv2.GaussianBlur(soft, (0, 0), rng.uniform(2, 7))
    bone = cv2.GaussianBlur(bone, (0, 0), rng.uniform(0.8, 2.5))
    picture = rng.uniform(0.02, 0.12) + soft + bone
    picture += 0.02 * clouds(rng) / 255 + rng.normal(0, 0.012, soft.shape)
    turn = rng.uniform(-25, 25)
    matrix = cv2.getRotationMatrix2D((128, 128), turn, rng.uniform(0.75, 1.25))
    shape = (SIDE, SIDE)
    picture = cv2.warpAffine(picture, matrix, shape, borderMode=cv2.BORDER_REPLICATE)
    picture = picture ** rng.uniform(0.7, 1.4) if picture.min() > 0 else picture
    return np.clip(255 * np.nan_to_num(picture), 0, 255).astype(np.uint8)


def _soften(rng, canvas):
    if rng.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 6))
    return canvas


FILMS = {"hand": hand, "limb": limb, "side_view": side_view, "skull": skull}
PICTURES = {
    "blank": blank,
    "clouds": clouds,
    "drawing": drawing,
    "gradient": gradient,
    "leaves": leaves,
    "noise": noise,
    "page": page,
    "screen": screen,
}
DRAWINGS = FILMS | PICTURES
