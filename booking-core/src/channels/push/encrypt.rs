//! Messages encrypted for one browser: RFC 8291, with the content coding of RFC 8188. Pure.

use hkdf::Hkdf;
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;

/// Longest message, in bytes: what push services take, less header, padding and tag.
pub(crate) const MESSAGE_BYTES_MAX: usize = 3000;
/// The record size that is announced. There is one record.
const RECORD_BYTES: u32 = 4096;
/// Ends the last record.
const LAST_RECORD: u8 = 2;

/// Why a message cannot be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncryptError {
    /// The browser's key is no point of the curve.
    #[error("the browser's key is damaged")]
    Key,
    /// The message is too long.
    #[error("the message is too long")]
    TooLong,
}

/// `message` for the browser with this public key and secret. `own` and `salt` must be random, and
/// used for one message only.
pub(crate) fn encrypt(
    message: &[u8],
    p256dh: &[u8],
    auth: &[u8],
    own: &SecretKey,
    salt: [u8; 16],
) -> Result<Vec<u8>, EncryptError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(EncryptError::TooLong);
    }
    let browser = PublicKey::from_sec1_bytes(p256dh).map_err(|_| EncryptError::Key)?;
    let own_public = own.public_key().to_encoded_point(false);
    let shared = diffie_hellman(own.to_nonzero_scalar(), browser.as_affine());
    let about = [b"WebPush: info\0".as_slice(), p256dh, own_public.as_bytes()].concat();
    let input: [u8; 32] = derived(auth, shared.raw_secret_bytes(), &about);
    let key: [u8; 16] = derived(&salt, &input, b"Content-Encoding: aes128gcm\0");
    let nonce: [u8; 12] = derived(&salt, &input, b"Content-Encoding: nonce\0");
    let mut record = [message, &[LAST_RECORD]].concat();
    let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| EncryptError::Key)?;
    LessSafeKey::new(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::empty(),
            &mut record,
        )
        .map_err(|_| EncryptError::TooLong)?;
    let own_public = own_public.as_bytes();
    let length = u8::try_from(own_public.len()).map_err(|_| EncryptError::Key)?;
    Ok([
        &salt[..],
        &RECORD_BYTES.to_be_bytes(),
        &[length],
        own_public,
        &record,
    ]
    .concat())
}

fn derived<const N: usize>(salt: &[u8], input: &[u8], about: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    let Ok(()) = Hkdf::<Sha256>::new(Some(salt), input).expand(about, &mut key) else {
        unreachable!("the keys are shorter than HKDF can make them")
    };
    key
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_example_of_the_standard_comes_out() {
        // RFC 8291, section 5.
        let own = SecretKey::from_slice(&bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"));
        let encrypted = encrypt(
            b"When I grow up, I want to be a watermelon",
            &bytes(
                "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            ),
            &bytes("BTBZMqHH6r4Tts7J_aSIgg"),
            &own.unwrap(),
            bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap(),
        );
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3\
            vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLV\
            WGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64URL_NOPAD.encode(&encrypted.unwrap()), expected);
    }

    #[test]
    fn what_is_too_long_or_for_a_damaged_key_is_refused() {
        let own = SecretKey::from_slice(&[7; 32]).unwrap();
        let public = own.public_key().to_encoded_point(false);
        let sealed = |message: &[u8], key: &[u8]| encrypt(message, key, &[1; 16], &own, [2; 16]);
        assert!(sealed(b"hello", public.as_bytes()).is_ok());
        assert_eq!(sealed(b"hello", &[4; 65]), Err(EncryptError::Key));
        assert_eq!(
            sealed(&[0; MESSAGE_BYTES_MAX + 1], public.as_bytes()),
            Err(EncryptError::TooLong)
        );
    }
}
