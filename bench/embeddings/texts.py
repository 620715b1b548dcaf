"""200 texts of every kind that is sent to be embedded, the same in every run.

The names of control tokens (`[SEP]`) are not among them: the peer obeys them in a text,
Outcrop does not, on purpose.
"""

import random

WORDS = (
    "river stone market letter winter engine garden question signal harbour paper music"
    " doctor mountain window history orange science bridge morning language island copper"
).split()

SHORT = [
    "a", "I", "?", "...", "42", "-", " x ", "\t\n.", "ok", "No!", "0", "É", "ß", "A kitten sleeps on the sofa.",
    "The bond market fell today.", "WHERE IS MY ORDER?", "unbelievably antidisestablishmentarianism", "e = mc²",
    "user@example.com", "https://example.com/a/b?c=d&e=%20#f", "2026-11-23T10:15:00Z", "+49 (0)30 123456", "$1,234.56",
    "C:\\Users\\ann\\file.txt", "[brackets] (and) {braces}", "##ing", "don't can't won't", "naïve café résumé",
]

LANGUAGES = [
    "Der Zug nach Zürich fährt heute von Gleis sieben ab.", "Où se trouve la bibliothèque municipale ?",
    "El niño comió una manzana mañana por la mañana.", "Quanto costa il biglietto per Città di Castello?",
    "Съешь же ещё этих мягких французских булок.", "Ο γρήγορος σκύλος πηδά πάνω από τον φράχτη.",
    "今日は天気がいいので散歩に行きましょう。", "机器学习模型需要大量的数据。", "오늘 회의는 몇 시에 시작합니까?",
    "السلام عليكم ورحمة الله وبركاته", "שלום, מה שלומך היום?", "नमस्ते, आप कैसे हैं?", "สวัสดีครับ วันนี้อากาศดี",
    "Xin chào, hôm nay trời đẹp quá.", "İstanbul'da güneşli bir gün.", "Þetta er íslenskur texti.", "Zażółć gęślą jaźń.",
    "Árvíztűrő tükörfúrógép.", "ქართული ენა", "የአማርኛ ጽሑፍ", "Kia ora koutou katoa.", "Habari ya asubuhi, rafiki yangu.",
]

MARKS = [
    "🙂", "👩‍👩‍👧‍👦 family", "🇨🇭🇯🇵 flags 🏳️‍🌈", "I ❤️ Rust 🦀!", "e\u0301 against \u00e9", "ﬁ ligature", "Ａ ｆｕｌｌ ｗｉｄｔｈ",
    "zero\u200bwidth\u200djoiner", "non\u00a0breaking\u2009spaces", "soft\u00adhyphen", "\ufeffmark of order", "a\u0300\u0301\u0302 stacked",
    "“quotes” ‘single’ «guillemets» — dash … ellipsis", "½ ⅓ ² ₂ ℃ № ™ ®", "∑∫√∞≈≠≤≥", "tab\tand\nnew\r\nline", "\u0007bell\u001b[31m red",
    "𝔉𝔯𝔞𝔨𝔱𝔲𝔯 𝕕𝕠𝕦𝕓𝕝𝕖", "�replacement", "mixed 漢字 and кириллица",
]

CODE = [
    "fn main() { println!(\"{}\", 1 + 1); }", "def f(x):\n    return [y**2 for y in x if y % 2]", "SELECT id, name FROM t WHERE a = 'b';",
    "<div class=\"x\">&nbsp;<br/></div>", '{"a": [1, 2.5, null, true], "b": {"c": "d"}}', "git commit -m 'fix' && git push --force",
    "#include <stdio.h>\nint main(void) { return 0; }", "for i in $(seq 1 10); do echo $i; done", "x = x << 3 | ~y & 0xFF",
    "2026-11-23 10:15:00,123 ERROR [main] o.e.App - failed: java.lang.NullPointerException", "a/b/c_d-e.f:g;h,i", "%s %d %05.2f \\n \\u00e9",
]


def story(dice, words):
    """A text of so many words, with some punctuation."""
    chosen = [dice.choice(WORDS) + dice.choice(["", "", "", ",", ".", ";"]) for _ in range(words)]
    return " ".join(chosen).capitalize() + "."


def texts():
    """All of them; the longest has more tokens than the model takes."""
    dice = random.Random(20261123)
    fixed = SHORT + LANGUAGES + MARKS + CODE
    lengths = [*range(3, 60), *range(60, 240, 6), *range(240, 420, 8), 600, 900, 1500, 3000]
    stories = [story(dice, words) for words in lengths]
    joined = [" ".join(dice.sample(LANGUAGES + MARKS + CODE, 8)) for _ in range(200)]
    return (fixed + stories + joined)[:200]
