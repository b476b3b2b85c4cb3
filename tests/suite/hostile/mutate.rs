//! A message with something in it changed.

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// Deeper than any parser should follow.
const DEEP: usize = 4_000;
/// Longer than any text a bank has.
const LONG: usize = 300_000;

/// Changes JSON in one to three places, now and then so that it is JSON no more.
pub(super) fn mutate(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return damage(bytes.to_vec(), rng) };
    for _ in 0..rng.random_range(1..4) {
        let places = count(&value);
        let mut place = rng.random_range(0..places);
        change(&mut value, &mut place, rng);
    }
    let changed = value.to_string().into_bytes();
    if rng.random_bool(0.2) { damage(changed, rng) } else { changed }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Changes what stands at a place, counted in depth; answers whether it was there.
fn change(value: &mut Value, place: &mut usize, rng: &mut StdRng) -> bool {
    if *place == 0 {
        *value = odd(value, rng);
        return true;
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(item, place, rng)),
        Value::Object(fields) => fields.values_mut().any(|field| change(field, place, rng)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Something else in place of a value: of its kind, of another, or of none.
fn odd(value: &Value, rng: &mut StdRng) -> Value {
    let of_its_kind = match value {
        Value::String(text) => text_like(text, rng),
        Value::Number(_) => number(rng),
        Value::Bool(is_so) => json!(!is_so),
        Value::Array(items) => list_like(items, rng),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let names: Vec<String> = fields.keys().cloned().collect();
            if let Some(name) = names.get(rng.random_range(0..names.len().max(1))) {
                fields.remove(name);
            }
            Value::Object(fields)
        }
        Value::Null => json!("null"),
    };
    match rng.random_range(0..12) {
        0 => Value::Null,
        1 => number(rng),
        2 => text_like("", rng),
        3 => json!([]),
        4 => json!({}),
        5 => json!([value, value]),
        6 => json!({ "id": value }),
        _ => of_its_kind,
    }
}

fn number(rng: &mut StdRng) -> Value {
    let numbers = [
        "0",
        "-1",
        "1",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "1e308",
        "1e-308",
        "-0.0",
        "0.001",
        "92233720368547758.07",
        "4503599627370497.5",
        "429",
        "2147483648",
        "1e400",
        "123456789012345678901234567890",
    ];
    serde_json::from_str(numbers[rng.random_range(0..numbers.len())]).unwrap_or(Value::Null)
}

fn text_like(text: &str, rng: &mut StdRng) -> Value {
    let texts = [
        "",
        " ",
        "\u{0}",
        "\u{feff}",
        "\u{202e}",
        "NaN",
        "-",
        "0",
        "-0.00",
        "1e5",
        "99999999999999999999.99",
        "0.0000000001",
        "1,00",
        "0000-00-00",
        "9999-12-31",
        "2026-02-30",
        "10000-01-01",
        "2026-11-21T25:61:61Z",
        "2026-11-21T00:00:00+99:99",
        "-271821-04-20T00:00:00Z",
        "http://[::1",
        "/v1/../../etc/passwd",
        "?",
        "%",
        "%00",
        "../",
        "'; DROP TABLE links; --",
        "XXX",
        "xx",
        "ZZZ",
        "USD ",
        "<script>",
        "done",
        "running",
        "login_error",
        "deleted",
        "POSTED",
        "PENDING",
        "MEMO",
        "null",
        "true",
    ];
    match rng.random_range(0..8) {
        0 => json!("x".repeat(LONG)),
        1 => json!(format!("{text}{text}")),
        2 => json!(text.chars().rev().collect::<String>()),
        3 => json!(text.chars().take(text.chars().count() / 2).collect::<String>()),
        _ => json!(texts[rng.random_range(0..texts.len())]),
    }
}

fn list_like(items: &[Value], rng: &mut StdRng) -> Value {
    let mut items = items.to_vec();
    match rng.random_range(0..4) {
        0 => items.reverse(),
        1 => items.truncate(items.len() / 2),
        2 => items.extend(items.clone()),
        _ => items.extend(items.first().cloned().into_iter().flat_map(|first| vec![first; 200])),
    }
    json!(items)
}

/// What is no message any more.
fn damage(mut bytes: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    let at = rng.random_range(0..bytes.len().max(1));
    match rng.random_range(0..6) {
        0 => bytes.truncate(at),
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.random_range(0..8);
            }
        }
        2 => bytes.splice(at.min(bytes.len())..at.min(bytes.len()), [0xff, 0xfe, 0x00]).for_each(drop),
        3 => bytes = [vec![b'['; DEEP], bytes, vec![b']'; DEEP]].concat(),
        4 => bytes.extend_from_within(..),
        _ => bytes = Vec::new(),
    }
    bytes
}
