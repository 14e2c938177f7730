//! Schemas of list elements, for the OpenAPI document.

use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};

use crate::host::NAME_BYTES_MAX;
use crate::limits::{
    ACCESS_CODE_CHARS_MAX, ACCESS_CODES_MAX, CORS_ORIGINS_MAX, EXEMPT_MAX, HOSTS_MAX,
    KNOWN_USER_TARGETS_MAX, PATHS_MAX, URL_BYTES_MAX,
};
use crate::upstreams::ADDRESSES_MAX;

/// Excludes `/_line` and paths below it; empty, `.` and `..` segments; and the characters of a
/// query, a fragment, an escape or a wildcard.
const PREFIX: &str = r"^(?!/_line(/|$))(?!.*//)(?!.*/\.{1,2}(/|$))/[!$&-)+-;=@-\[\]_a-z~]*$";
/// A method, a prefix as of [`PREFIX`], or both with a space between them.
const EXEMPT: &str = r"^((DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT)|((DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) )?(?!/_line(/|$))(?!.*//)(?!.*/\.{1,2}(/|$))/[!$&-)+-;=@-\[\]_a-z~]*)$";
/// `embedded`, or what [`ADDRESS`] is.
const UPSTREAM: &str = r"^(embedded|https?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/(?!\.+(/|$))[A-Za-z0-9._~-]+)*/?)$";
/// The URL of a server, with a path of plain segments.
const ADDRESS: &str = r"^(https?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/(?!\.+(/|$))[A-Za-z0-9._~-]+)*/?)$";
/// A scheme, a host in lower case, and a port.
const ORIGIN: &str = r"^https?://([a-z0-9._~-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$";
/// A scheme, a host, a port, and a path without empty segments, `.` and `..`.
const SITE: &str =
    r"^https?://([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+(:[0-9]{1,4})?(/(?!\.+(/|$))[A-Za-z0-9._~-]+)*/?$";
/// `*`, an IPv6 address in brackets, or labels of letters, digits, hyphens and underscores.
const HOST: &str = r"^(\*|\[[0-9A-Fa-f:.]+\]|([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)$";
/// No control character except the line break, and at least one character that is not white
/// space.
const CODE: &str = r"^(?=[\s\S]*\S)[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]*$";

pub(super) fn paths() -> Schema {
    texts(
        PREFIX,
        URL_BYTES_MAX,
        PATHS_MAX,
        "Protected path prefixes, each beginning with `/`.",
    )
}

pub(super) fn upstream() -> Schema {
    let one = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(URL_BYTES_MAX))
        .pattern(Some(UPSTREAM));
    let several = texts(
        ADDRESS,
        URL_BYTES_MAX,
        ADDRESSES_MAX,
        "The URLs of all servers of one service, with the same scheme and path.",
    );
    OneOfBuilder::new()
        .item(one)
        .item(several)
        .description(Some(
            "`embedded`, or the URL of the service to protect, `http://` or `https://`, with a path \
             under which all of it is. Certificates are verified. Or the URLs of all servers of one \
             service: requests are spread over those that answer.",
        ))
        .build()
        .into()
}

pub(super) fn cors_origins() -> Schema {
    texts(
        ORIGIN,
        URL_BYTES_MAX,
        CORS_ORIGINS_MAX,
        "Origins whose pages may read the gateway's refusals, as `https://www.example.com`.",
    )
}

pub(super) fn known_user_targets() -> Schema {
    texts(
        SITE,
        URL_BYTES_MAX,
        KNOWN_USER_TARGETS_MAX,
        "Sites with Queue-it's connectors, or parts of them, as \
         `https://shop.example.org/checkout`.",
    )
}

pub(super) fn exempt() -> Schema {
    texts(
        EXEMPT,
        URL_BYTES_MAX,
        EXEMPT_MAX,
        "What of the protected paths needs no pass: prefixes, methods, or both, as \
         `/checkout/assets`, `HEAD` or `POST /checkout/hook`.",
    )
}

pub(super) fn hosts() -> Schema {
    texts(
        HOST,
        NAME_BYTES_MAX,
        HOSTS_MAX,
        "Names that the room answers for, without a port; `*` is every host that no other room \
         names. Every path of such a host goes to a remote upstream. Without any, the room protects \
         its paths on every host.",
    )
}

pub(super) fn access_codes() -> Schema {
    texts(
        CODE,
        ACCESS_CODE_CHARS_MAX,
        ACCESS_CODES_MAX,
        "Codes that may join; anyone, when empty.",
    )
}

fn texts(pattern: &str, length_max: usize, items_max: usize, description: &str) -> Schema {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(length_max))
        .pattern(Some(pattern));
    ArrayBuilder::new()
        .items(text)
        .max_items(Some(items_max))
        .description(Some(description))
        .build()
        .into()
}
