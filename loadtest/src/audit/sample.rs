//! Small pieces of evidence for the tests of the checks.

use std::time::Duration;

use contract::booking::{Booking, BookingStatus, Seat, SeatMap, SeatStatus, Ticket};
use contract::line::{Phase, PlaceState};
use contract::pass::{PassClaims, TOKEN_USE_ACCESS};
use contract::room::{AdmissionRecord, RoomStats};
use contract::{BookingId, HoldId, PlaceId, SeatId, TicketId, Timestamp};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::evidence::{
    Asked, Evidence, FanRecord, HoldEnd, HoldSeen, RoomTimes, ServerCheck, ShopEvidence,
};

/// When the samples begin.
pub(super) const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);

const FIRST_KEY: u64 = 1 << 52;

/// Evidence with these fans and nothing else.
pub(super) fn evidence(fans: Vec<FanRecord>) -> Evidence {
    Evidence {
        fans,
        log: Vec::new(),
        samples: Vec::new(),
        shop: None,
        ledger: Ok(Vec::new()),
        server: Ok(ServerCheck {
            breaches: Vec::new(),
        }),
        times: RoomTimes {
            claim_window: Duration::from_mins(1),
            absence_timeout: Duration::from_mins(1),
        },
        disturbed: Vec::new(),
    }
}

/// Fan `number`, who joined at the start and still waits.
pub(super) fn fan(number: u32) -> FanRecord {
    FanRecord {
        asked_at: Some(START),
        joined_at: Some(START),
        on_socket: true,
        token: Some(format!("token-{number}")),
        order_key: Some(FIRST_KEY + u64::from(number)),
        state: Some(PlaceState::Waiting),
        ..FanRecord::new(number)
    }
}

fn place(number: u32) -> PlaceId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PlaceId::from_bytes(bytes)
}

/// The pass of fan `number`.
pub(super) fn pass(number: u32, queue_position: u64, jti: &str) -> PassClaims {
    PassClaims {
        iss: "test".to_owned(),
        aud: "eras".parse().unwrap(),
        sub: place(number),
        jti: jti.to_owned(),
        iat: START.as_unix_seconds(),
        nbf: START.as_unix_seconds(),
        exp: START.as_unix_seconds() + 600,
        queue_position,
        token_use: TOKEN_USE_ACCESS.to_owned(),
    }
}

/// A genuine log that calls these fans in this order, 100 ms apart from `from_ms` on.
pub(super) fn log(order: &[u32], from_ms: u64) -> Vec<AdmissionRecord> {
    let calls: Vec<(u32, u64)> = order
        .iter()
        .zip(0..)
        .map(|(number, at)| (*number, from_ms + at * 100))
        .collect();
    log_at(&calls)
}

/// A genuine log of these calls, each a fan and milliseconds after the start.
pub(super) fn log_at(calls: &[(u32, u64)]) -> Vec<AdmissionRecord> {
    let mut hash = [0u8; 32];
    (1u64..)
        .zip(calls)
        .map(|(seq, (number, at_ms))| {
            let key = FIRST_KEY + u64::from(*number);
            let called_at = START.plus(Duration::from_millis(*at_ms));
            let mut text = hash.to_vec();
            text.extend(seq.to_be_bytes());
            text.extend(key.to_be_bytes());
            text.extend(called_at.as_ms().to_be_bytes());
            text.extend(place(*number).as_bytes());
            hash = Sha256::digest(&text).into();
            AdmissionRecord {
                seq,
                place: place(*number),
                order_key: key.to_string(),
                called_at,
                hash: HEXLOWER.encode(&hash),
            }
        })
        .collect()
}

/// A room with many waiting, at 600 calls a minute, `second` seconds after the start.
pub(super) fn stats(second: u64) -> RoomStats {
    RoomStats {
        room: "eras".parse().unwrap(),
        phase: Phase::Queueing,
        in_line: 10_000,
        absent: 10,
        called: 5,
        active: 50,
        joins_total: 0,
        calls_total: 0,
        claims_total: 0,
        no_shows_total: 0,
        sessions_ended_total: 0,
        joins_per_second: 0.0,
        calls_per_second: 0.0,
        claims_per_second: 0.0,
        no_show_share: 0.0,
        standby: false,
        straight_in_total: 0,
        passed_through_requests: 0,
        passed_through_passes: 0,
        entries_per_minute: 0,
        limited_by: None,
        show_share: None,
        expected_wait_seconds: None,
        actual_wait_seconds: None,
        estimate_accuracy: None,
        sockets: 0,
        new_users_per_minute: 600,
        call_batch: None,
        total_active_users: 1_000,
        addresses: Vec::new(),
        updated_at: START.plus(Duration::from_secs(second)),
    }
}

fn seats(labels: &[&str]) -> Vec<SeatId> {
    labels.iter().map(|label| label.parse().unwrap()).collect()
}

/// A hold of these seats for 1000, still open.
pub(super) fn hold(number: u128, labels: &[&str]) -> HoldSeen {
    HoldSeen {
        hold_id: HoldId::new(Uuid::from_u128(number)),
        asked: Asked::Seats(seats(labels)),
        seats: seats(labels),
        granted_at: START,
        expires_at: START.plus(Duration::from_mins(10)),
        amount_minor: 1000,
        end: HoldEnd::Open,
        intents: Vec::new(),
        cancelled: None,
    }
}

/// A hold that became a booking.
pub(super) fn booked(number: u128, labels: &[&str]) -> HoldSeen {
    let tickets = (0u128..).zip(seats(labels)).map(|(at, seat_id)| Ticket {
        ticket_id: TicketId::new(Uuid::from_u128(number * 100 + at)),
        seat_id,
        seat: None,
        ticket_type: None,
        ticket_type_name: None,
        amount_minor: None,
        qr: None,
        qr_svg: None,
        holder_name: None,
        passed_on_to: None,
    });
    let booking = Booking {
        booking_id: BookingId::new(Uuid::from_u128(number)),
        passed_on: false,
        tickets_url: None,
        code: "ABC".to_owned(),
        status: BookingStatus::Confirmed,
        show_id: "show".parse().unwrap(),
        amount_minor: 1000,
        currency: "INR".to_owned(),
        lines: Vec::new(),
        refunded_minor: 0,
        withheld: false,
        created_at: START,
        tickets: tickets.collect(),
    };
    HoldSeen {
        end: HoldEnd::Booked(Box::new(booking)),
        ..hold(number, labels)
    }
}

/// A show whose map has these seats booked and one more free, none booked before.
pub(super) fn shop(booked: &[&str]) -> ShopEvidence {
    let seat = |seat_id: SeatId, status| Seat {
        seat_id,
        section: "Hall".to_owned(),
        row: "A".to_owned(),
        number: 1,
        category: "STANDARD".to_owned(),
        status,
        price_minor: 500,
        x: 0.0,
        y: 0.0,
        accessible: false,
    };
    let mut all: Vec<Seat> = seats(booked)
        .into_iter()
        .map(|label| seat(label, SeatStatus::Booked))
        .collect();
    all.push(seat("Z9".parse().unwrap(), SeatStatus::Available));
    ShopEvidence {
        booked_before: 0,
        after: SeatMap {
            show_id: "show".parse().unwrap(),
            version: 1,
            as_of: START,
            seats: all,
        },
        sole_buyers: true,
    }
}
