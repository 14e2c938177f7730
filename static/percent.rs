//! Percent-encoding of texts in addresses.

use data_encoding::HEXUPPER;

/// `text` percent-encoded for a URL. Letters, digits, `-._~` and the bytes of `also` are kept.
pub(crate) fn encode(text: &str, also: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(["%", &HEXUPPER.encode(&[byte])]);
        }
    }
    encoded
}
