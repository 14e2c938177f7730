//! Errors in Stripe's shape: `{"error": {"type", "code", "decline_code", "message", "param", …}}`.

use serde::Serialize;
use serde_json::Value;

use crate::method::Decline;

/// An error response. Boxed, so that results stay small.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Details>);

#[derive(Debug)]
struct Details {
    status: u16,
    body: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<&'static str>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_intent: Option<Value>,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: String) -> Self {
        Self(Box::new(Details {
            status,
            body: Body {
                kind,
                code,
                decline_code: None,
                message,
                param: None,
                charge: None,
                payment_intent: None,
            },
        }))
    }

    /// 400: the request is invalid.
    pub(crate) fn invalid(code: &'static str, message: String, param: Option<&str>) -> Self {
        let mut error = Self::new(400, "invalid_request_error", Some(code), message);
        error.0.body.param = param.map(str::to_owned);
        error
    }

    /// 400: a required parameter is missing.
    pub(crate) fn missing(param: &str) -> Self {
        Self::invalid(
            "parameter_missing",
            format!("Missing required param: {param}."),
            Some(param),
        )
    }

    /// 400: the object's state does not allow the call.
    pub(crate) fn unexpected_state(message: String, intent: Value) -> Self {
        let code = Some("payment_intent_unexpected_state");
        Self::new(400, "invalid_request_error", code, message).with_intent(intent)
    }

    /// 401: no valid key.
    pub(crate) fn unauthenticated(message: String) -> Self {
        Self::new(401, "invalid_request_error", None, message)
    }

    /// 402: the bank declined.
    pub(crate) fn declined(decline: Decline, charge: String, intent: Value) -> Self {
        let words = decline.words();
        let message = words.message.to_owned();
        let mut error = Self::new(402, "card_error", Some(words.code), message);
        error.0.body.decline_code = words.decline_code;
        error.0.body.charge = Some(charge);
        error.with_intent(intent)
    }

    /// 404: there is no such object.
    pub(crate) fn no_such(object: &str, id: &str, param: &str) -> Self {
        let message = format!("No such {object}: '{id}'");
        let mut error = Self::new(
            404,
            "invalid_request_error",
            Some("resource_missing"),
            message,
        );
        error.0.body.param = Some(param.to_owned());
        error
    }

    /// 404 and 405: there is no such call.
    pub(crate) fn no_such_call(method: &str, path: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). \
             The simulator speaks payment intents and refunds only."
        );
        Self::new(404, "invalid_request_error", None, message)
    }

    /// 400: the idempotency key was used with other parameters.
    pub(crate) fn key_reused(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same endpoint and parameters \
             they were first used with. Use a key other than '{key}' for a different request."
        );
        Self::new(400, "idempotency_error", None, message)
    }

    /// 409: the first request with this key has not been answered yet.
    pub(crate) fn key_in_use() -> Self {
        let message = "Another request with this idempotency key is still in progress.".to_owned();
        let code = Some("idempotency_key_in_use");
        Self::new(409, "idempotency_error", code, message)
    }

    /// 429: too many requests.
    pub(crate) fn rate_limited() -> Self {
        let message = "Request rate limit exceeded. Retry with a growing pause.".to_owned();
        Self::new(429, "invalid_request_error", Some("rate_limit"), message)
    }

    /// 500, 503 or 504: the provider failed.
    pub(crate) fn provider(status: u16, message: &str) -> Self {
        Self::new(status, "api_error", None, message.to_owned())
    }

    /// Adds the intent the error is about.
    fn with_intent(mut self, intent: Value) -> Self {
        self.0.body.payment_intent = Some(intent);
        self
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    /// Whether the error is the result of a call that was carried out, in contrast to a call that
    /// was refused. Only results are stored for idempotency keys.
    pub(crate) fn is_decision(&self) -> bool {
        let code = self.0.body.code;
        self.0.status == 402
            || matches!(
                code,
                Some("payment_intent_unexpected_state" | "charge_already_refunded")
            )
    }

    /// The message for people.
    pub(crate) fn message(&self) -> &str {
        &self.0.body.message
    }

    /// The parameter at fault.
    #[cfg(test)]
    pub(crate) fn param(&self) -> Option<&str> {
        self.0.body.param.as_deref()
    }

    /// The JSON document.
    pub(crate) fn document(&self) -> Value {
        serde_json::json!({ "error": self.0.body })
    }
}
