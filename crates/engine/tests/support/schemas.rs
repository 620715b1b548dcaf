//! JSON schemas by number: the same number, the same schema. They hold what clients send
//! (objects in objects, lists, choices, references that come back to themselves, patterns,
//! formats, ranges), and every one of them has documents.

use serde_json::{Map, Value, json};

/// A sequence of numbers that its seed decides (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x5851_F42D_4C95_7F2D)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 16) as usize % bound
    }

    /// One time in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const NAMES: [&str; 12] =
    ["name", "age", "tags", "città", "unit price", "a\"b", "kind", "not", "items", "id", "value", "next"];
const PATTERNS: [&str; 6] = [
    "^[a-z]{2,5}$",
    "^[A-Z][a-z]+( [A-Z][a-z]+)*$",
    "^(foo|bar)-[0-9]{3}$",
    "[0-9]+",
    "^\\+?[0-9]{5,9}$",
    "^[^\"]*é?$",
];
const FORMATS: [&str; 8] = ["date", "time", "date-time", "email", "ipv4", "uuid", "hostname", "colour"];

/// The schema of a number.
pub fn schema(number: u64) -> Value {
    let mut dice = Dice::new(number);
    let defines = dice.once_in(3);
    let mut root = if dice.once_in(4) { value(&mut dice, 0, defines) } else { object(&mut dice, 0, defines) };
    if defines {
        let item = value(&mut dice, 2, false);
        root["$defs"] = json!({
            "item": item,
            "node": {
                "type": "object",
                "properties": {
                    "item": { "$ref": "#/$defs/item" },
                    "next": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/node" }] },
                    "children": { "type": "array", "items": { "$ref": "#/$defs/node" }, "maxItems": 2 },
                },
                "required": ["item", "next"],
                "additionalProperties": false,
            },
        });
    }
    root
}

fn value(dice: &mut Dice, depth: usize, defines: bool) -> Value {
    let kinds = if depth >= 3 { 8 } else { 13 };
    match dice.below(kinds) {
        0 => json!({ "type": "boolean" }),
        1 => json!({ "type": "null" }),
        2 => integer(dice),
        3 => number(dice),
        4 | 5 => string(dice),
        6 => json!({ "enum": ["red", "green \"x\"", 7, null, { "a": [1, "é"] }] }),
        7 if defines => json!({ "$ref": dice.pick(&["#/$defs/item", "#/$defs/node"]) }),
        7 => json!({ "const": dice.pick(&["fixed", "ünï", "a\\b"]) }),
        8 | 9 => array(dice, depth, defines),
        10 => json!({ "anyOf": [value(dice, depth + 1, defines), value(dice, depth + 1, defines)] }),
        11 => one_of(dice, depth, defines),
        _ => object(dice, depth, defines),
    }
}

fn integer(dice: &mut Dice) -> Value {
    let least = dice.below(2000) as i64 - 1000;
    match dice.below(5) {
        0 => json!({ "type": "integer" }),
        1 => json!({ "type": "integer", "minimum": least, "maximum": least + dice.below(5000) as i64 }),
        2 => json!({ "type": "integer", "exclusiveMinimum": least }),
        3 => json!({ "type": "integer", "maximum": least }),
        _ => json!({ "type": "integer", "multipleOf": dice.pick(&[2, 5, 7, 10]) }),
    }
}

fn number(dice: &mut Dice) -> Value {
    match dice.below(3) {
        0 => json!({ "type": "number" }),
        1 => json!({ "type": "number", "minimum": -0.5, "maximum": 12.25 }),
        _ => json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }),
    }
}

fn string(dice: &mut Dice) -> Value {
    match dice.below(6) {
        0 => json!({ "type": "string", "pattern": dice.pick(&PATTERNS) }),
        1 => json!({ "type": "string", "format": dice.pick(&FORMATS) }),
        2 => {
            let least = dice.below(6);
            json!({ "type": "string", "minLength": least, "maxLength": least + dice.below(20) })
        }
        3 => json!({ "type": "string", "minLength": 3 }),
        _ => json!({ "type": "string", "description": "words" }),
    }
}

fn array(dice: &mut Dice, depth: usize, defines: bool) -> Value {
    let items = value(dice, depth + 1, defines);
    let least = dice.below(3);
    match dice.below(4) {
        0 => json!({ "type": "array", "items": items }),
        1 => json!({ "type": "array", "items": items, "minItems": least }),
        2 => json!({ "type": "array", "items": items, "minItems": least, "maxItems": least + dice.below(4) }),
        _ => {
            json!({ "type": "array", "prefixItems": [items, { "type": "boolean" }], "items": false, "minItems": 2 })
        }
    }
}

/// Told apart by a constant, or by their types.
fn one_of(dice: &mut Dice, depth: usize, defines: bool) -> Value {
    if dice.once_in(2) {
        return json!({ "oneOf": [{ "type": "string", "maxLength": 9 }, { "type": "boolean" }, integer(dice)] });
    }
    let variant = |name: &str, value: Value| {
        json!({
            "type": "object",
            "properties": { "type": { "const": name }, "value": value },
            "required": ["type", "value"],
            "additionalProperties": false,
        })
    };
    json!({ "oneOf": [variant("a", value(dice, depth + 1, defines)), variant("b", value(dice, depth + 1, defines))] })
}

fn object(dice: &mut Dice, depth: usize, defines: bool) -> Value {
    let mut properties = Map::new();
    for _ in 0..=dice.below(4) {
        let schema = value(dice, depth + 1, defines);
        properties.insert(dice.pick(&NAMES).to_owned(), schema);
    }
    let required: Vec<&String> = properties.keys().filter(|_| !dice.once_in(3)).collect();
    let mut object = json!({ "type": "object", "required": required });
    object["properties"] = properties.clone().into();
    match dice.below(5) {
        0 => object["additionalProperties"] = false.into(),
        1 => object["additionalProperties"] = json!({ "type": "integer" }),
        2 => object["additionalProperties"] = true.into(),
        _ => {}
    }
    object
}
