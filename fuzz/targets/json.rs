//! Bodies of requests: what is read is written as something that is read as the same.

#![no_main]

use std::fmt::Debug;

use contract::app_session::{AppCodeRequest, TokenRequest};
use contract::booking::{HoldRequest, PaymentRequest, TicketTypesRequest};
use contract::checkin::{Scan, ScanBatch, ScannerRequest};
use contract::contact::{ContactRequest, TurnRequest};
use contract::coupon::QuoteRequest;
use contract::line::JoinRequest;
use contract::refund::{CancelRequest, FindRequest};
use contract::room::PauseRequest;
use contract::text::{json_text, nul_at};
use contract::transfer::{ReissueRequest, TransferRequest};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = json_text(bytes) else {
        return;
    };
    let _where_a_nul_is = nul_at(text);
    same::<AppCodeRequest>(text);
    same::<CancelRequest>(text);
    same::<ContactRequest>(text);
    same::<FindRequest>(text);
    same::<HoldRequest>(text);
    same::<JoinRequest>(text);
    same::<PauseRequest>(text);
    same::<PaymentRequest>(text);
    same::<QuoteRequest>(text);
    same::<ReissueRequest>(text);
    same::<Scan>(text);
    same::<ScanBatch>(text);
    same::<ScannerRequest>(text);
    same::<TicketTypesRequest>(text);
    same::<TokenRequest>(text);
    same::<TransferRequest>(text);
    same::<TurnRequest>(text);
});

fn same<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(text) {
        let written = serde_json::to_vec(&read).expect("what was read can be written");
        let again: T = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(again, read);
    }
}
