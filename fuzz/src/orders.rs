//! Orders of commands, as they come over the control socket.

use passbook::server::control::{Order, carry_out};

use super::house::House;

/// The body of one order.
pub fn orders(input: &[u8]) {
    let Ok(order) = serde_json::from_slice::<Order>(input) else { return };
    let written = serde_json::to_vec(&order).expect("JSON");
    let again: Order = serde_json::from_slice(&written).expect("what was written");
    assert_eq!(serde_json::to_vec(&again).expect("JSON"), written);
    House::with(|house| {
        let outcome = house.block_on(carry_out(house.engine(), order));
        if let Err(error) = outcome {
            let text = error.to_string();
            assert!(!text.contains(super::bank::SECRET));
            assert!(text.len() <= 4 * input.len() + 1_000, "{} bytes of {}", text.len(), input.len());
        }
    });
}
