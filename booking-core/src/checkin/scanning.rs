//! Settling scans, one transaction each. A scan locks its ticket, so that two scans of one ticket
//! are settled one after the other, whichever process takes them.

use std::sync::Arc;

use contract::checkin::{Direction, Label, Scan, ScanAnswer, ScanResult};
use contract::{TicketId, Timestamp};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::caller::Caller;
use crate::config::SCANS_PATIENCE;
use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::handle::Booking;
use crate::scan;
use crate::store;
use crate::store::checkins::{NewScan, ScanRow};
use crate::telemetry;
use crate::tickets::{TicketClaims, TicketVerifier};

/// The gate of an operator who names none.
const OPERATORS_GATE: &str = "Operators";

/// What one scan is settled with.
struct Settling<'a> {
    caller: &'a Caller,
    verifier: &'a TicketVerifier,
    scan: &'a Scan,
    happened_at: Timestamp,
    received_at: Timestamp,
}

impl Booking {
    /// Settles a scan that is made now.
    pub(crate) async fn scan(&self, caller: Caller, scan: Scan) -> Result<ScanAnswer, StoreError> {
        let core = Arc::clone(&self.0);
        let verifier = self.ticket_verifier();
        let work = async move {
            let now = core.clock.now();
            // The clock of the device is recorded, and decides nothing.
            let settling = Settling {
                caller: &caller,
                verifier: &verifier,
                scan: &scan,
                happened_at: now,
                received_at: now,
            };
            core.settle_scan(&settling).await
        };
        self.0.work.run(work).await
    }

    /// Settles scans that a device kept, in their order. An error leaves those before it settled:
    /// sent again, they get the same answers.
    pub(crate) async fn scans(
        &self,
        caller: Caller,
        scans: Vec<Scan>,
        sent_at: Option<Timestamp>,
    ) -> Result<Vec<ScanAnswer>, StoreError> {
        let core = Arc::clone(&self.0);
        let verifier = self.ticket_verifier();
        let work = async move {
            let received_at = core.clock.now();
            let mut answers = Vec::with_capacity(scans.len());
            for scan in &scans {
                let settling = Settling {
                    caller: &caller,
                    verifier: &verifier,
                    scan,
                    happened_at: scan::happened_at(scan.at, sent_at, received_at),
                    received_at,
                };
                answers.push(core.settle_scan(&settling).await?);
            }
            Ok(answers)
        };
        self.0.work.run_within(SCANS_PATIENCE, work).await
    }
}

impl Core {
    async fn settle_scan(&self, settling: &Settling<'_>) -> Result<ScanAnswer, StoreError> {
        let scan = settling.scan;
        let own_show = match settling.caller {
            Caller::Operators => None,
            Caller::Scanner(row) => Some(row.show_no),
        };
        let (claims, good) = scan::read(
            &scan.ticket,
            settling.verifier,
            own_show,
            settling.happened_at,
        );
        let claimed_show = || i32::try_from(claims.as_ref()?.show_no).ok();
        let gate = match (&scan.gate, settling.caller) {
            (Some(gate), _) => gate.clone(),
            (None, Caller::Scanner(row)) => row.scanner.gate.clone(),
            (None, Caller::Operators) => operators_gate()?,
        };
        let digest: [u8; 32] = Sha256::digest(&scan.ticket).into();
        let new = NewScan {
            show_no: own_show.or_else(claimed_show),
            scan,
            digest: &digest,
            claims: claims.as_ref(),
            direction: scan.direction.unwrap_or(Direction::In),
            gate: &gate,
            scanner: match settling.caller {
                Caller::Operators => None,
                Caller::Scanner(row) => Some(row.scanner.scanner_id.uuid()),
            },
            happened_at: settling.happened_at,
            received_at: settling.received_at,
        };
        let row = repeat_if_contended(|| self.record_scan(&new, claims.as_ref(), good)).await?;
        let answer = answer(&new, row);
        metrics::counter!(telemetry::SCANS, "result" => answer.result.as_str()).increment(1);
        Ok(answer)
    }

    /// The record of a scan: the one that is there, or a new one with its effects.
    async fn record_scan(
        &self,
        new: &NewScan<'_>,
        claims: Option<&TicketClaims>,
        good: Result<(), ScanResult>,
    ) -> Result<ScanRow, StoreError> {
        let mut transaction = self.pools.money.begin().await?;
        let connection = &mut *transaction;
        if let Some(row) = recorded(connection, new).await? {
            transaction.commit().await?;
            return Ok(row);
        }
        let mut entry_no = None;
        let result = match (good, claims) {
            (Err(refused), _) => refused,
            (Ok(()), None) => ScanResult::Unreadable,
            (Ok(()), Some(claims)) => {
                let locked = store::checkins::lock_ticket(connection, claims).await?;
                entry_no = locked.as_ref().and_then(|locked| locked.entry_no);
                let state = locked.map(|locked| locked.state);
                scan::decide(claims, state.as_ref(), new.direction, new.happened_at)
            }
        };
        let mut result = result;
        // A kept entry that another device uploads late, from while the visitor was inside by an
        // entry that has its exit by now: two came in with one ticket.
        if let (ScanResult::Accepted, Direction::In, Some(claims)) = (result, new.direction, claims)
        {
            let ticket_id = claims.ticket_id.uuid();
            entry_no = store::checkins::visit_at(connection, ticket_id, new.happened_at).await?;
            if entry_no.is_some() {
                result = ScanResult::Duplicate;
            }
        }
        let earlier_no = entry_no.filter(|_| result == ScanResult::Duplicate);
        let scan_no = store::checkins::insert(connection, new, result, earlier_no).await?;
        if let (Some(scan_no), ScanResult::Accepted, Some(claims)) = (scan_no, result, claims) {
            match (new.direction, entry_no) {
                (Direction::In, _) => {
                    store::checkins::enter(connection, claims.ticket_id.uuid()).await?;
                }
                (Direction::Out, Some(entry_no)) => {
                    store::checkins::leave(connection, entry_no, scan_no).await?;
                }
                (Direction::Out, None) => {}
            }
        }
        // Without a number, the same scan was recorded meanwhile, and this is its record.
        let row = recorded(connection, new).await?;
        transaction.commit().await?;
        row.ok_or_else(|| StoreError::corrupt("checkins", "a scan that was just recorded is gone"))
    }
}

/// The record of a scan, if there is one. A scanner whose question was recorded and whose answer was
/// lost decides alone, and tells with the same nonce that it let the visitor pass: the record says so
/// from then on.
async fn recorded(
    connection: &mut PgConnection,
    new: &NewScan<'_>,
) -> Result<Option<ScanRow>, StoreError> {
    let nonce = &new.scan.nonce;
    let row = store::checkins::find(connection, new.show_no, nonce).await?;
    if let Some(row) = &row
        && new.scan.admitted
        && !row.admitted
        && is_same(new, row)
    {
        store::checkins::note_admitted(connection, new.show_no, nonce).await?;
    }
    Ok(row)
}

/// Whether a record is that of this scan, and not of another with its nonce.
fn is_same(new: &NewScan<'_>, row: &ScanRow) -> bool {
    row.digest == new.digest && row.direction == new.direction
}

fn operators_gate() -> Result<Label, StoreError> {
    OPERATORS_GATE
        .parse()
        .map_err(|error| StoreError::corrupt("checkins", error))
}

/// What is said of a scan. One whose nonce stands for another learns nothing about that.
fn answer(new: &NewScan<'_>, row: ScanRow) -> ScanAnswer {
    let nonce = new.scan.nonce.clone();
    if !is_same(new, &row) {
        return ScanAnswer {
            nonce,
            result: ScanResult::NonceReused,
            direction: new.direction,
            ticket_id: None,
            seat_id: None,
            earlier: None,
        };
    }
    ScanAnswer {
        nonce,
        result: row.result,
        direction: row.direction,
        ticket_id: row.ticket_id.map(TicketId::new),
        seat_id: row.seat_id,
        earlier: row.earlier,
    }
}
