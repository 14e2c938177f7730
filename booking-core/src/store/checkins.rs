//! Scans of tickets: what they came to, who is inside, conflicts, and what scanners need to know.

use contract::checkin::{
    CheckinCounts, Conflict, Direction, GateCounts, InsideVoid, Label, Nonce, ReissuedTicket, Scan,
    ScanPlace, ScanResult,
};
use contract::{ScannerId, TicketId, Timestamp};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{id, word};
use crate::database::StoreError;
use crate::scan::TicketState;
use crate::tickets::TicketClaims;

/// Gates that are counted; more than a venue has.
const GATES_MAX: i64 = 200;

/// A scan that is to be recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewScan<'a> {
    /// The show at whose gate it was made.
    pub(crate) show_no: Option<i32>,
    /// As it was sent.
    pub(crate) scan: &'a Scan,
    /// SHA-256 of its text.
    pub(crate) digest: &'a [u8; 32],
    /// What is signed, if the signature is ours.
    pub(crate) claims: Option<&'a TicketClaims>,
    pub(crate) direction: Direction,
    pub(crate) gate: &'a Label,
    /// The scanner's id; `None` when an operator scanned.
    pub(crate) scanner: Option<Uuid>,
    pub(crate) happened_at: Timestamp,
    pub(crate) received_at: Timestamp,
}

/// What a scan came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScanRow {
    pub(crate) digest: Vec<u8>,
    pub(crate) direction: Direction,
    /// Whether the device let the visitor pass by itself.
    pub(crate) admitted: bool,
    pub(crate) result: ScanResult,
    pub(crate) ticket_id: Option<Uuid>,
    pub(crate) seat_id: Option<String>,
    pub(crate) earlier: Option<ScanPlace>,
}

/// A ticket that its transaction has locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockedTicket {
    pub(crate) state: TicketState,
    /// The entry of whoever is inside with it.
    pub(crate) entry_no: Option<i64>,
}

/// Where and when a scan was made, as its columns say.
struct PlaceColumns {
    gate: String,
    device: Option<String>,
    scanner_id: Option<Uuid>,
    at: OffsetDateTime,
    received_at: OffsetDateTime,
}

impl PlaceColumns {
    fn read(self) -> Result<ScanPlace, StoreError> {
        let device = self.device.map(|device| id("checkins", &device));
        Ok(ScanPlace {
            gate: id("checkins", &self.gate)?,
            device: device.transpose()?,
            scanner_id: self.scanner_id.map(ScannerId::new),
            at: self.at.into(),
            received_at: self.received_at.into(),
        })
    }
}

/// The scan of a show with this nonce.
pub(crate) async fn find(
    connection: &mut PgConnection,
    show_no: Option<i32>,
    nonce: &Nonce,
) -> Result<Option<ScanRow>, StoreError> {
    let row = sqlx::query!(
        r#"select c.ticket_digest, c.direction, c.result, c.admitted, c.ticket_id, s.seat_id as "seat_id?",
            e.gate as "gate?", e.device, e.scanner_id, e.at as "at?",
            e.received_at as "received_at?"
         from checkins c
         left join tickets t on t.ticket_id = c.ticket_id
         left join seats s on s.show_no = t.show_no and s.seat_no = t.seat_no
         left join checkins e on e.scan_no = c.earlier_scan_no
         where c.show_no is not distinct from $1 and c.nonce = $2"#,
        show_no,
        nonce.as_str()
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let earlier = match (row.gate, row.at, row.received_at) {
        (Some(gate), Some(at), Some(received_at)) => Some(PlaceColumns {
            gate,
            device: row.device,
            scanner_id: row.scanner_id,
            at,
            received_at,
        }),
        _ => None,
    };
    Ok(Some(ScanRow {
        digest: row.ticket_digest,
        direction: word("checkins", &row.direction)?,
        result: word("checkins", &row.result)?,
        admitted: row.admitted,
        ticket_id: row.ticket_id,
        seat_id: row.seat_id,
        earlier: earlier.map(PlaceColumns::read).transpose()?,
    }))
}

/// The ticket, locked against other scans of it and against being cancelled meanwhile.
pub(crate) async fn lock_ticket(
    connection: &mut PgConnection,
    claims: &TicketClaims,
) -> Result<Option<LockedTicket>, StoreError> {
    let ticket_id = claims.ticket_id.uuid();
    let ticket = sqlx::query!(
        r#"select status = 'VOID' as "is_void!", token_generation from tickets
         where ticket_id = $1 and show_no::bigint = $2 for no key update"#,
        ticket_id,
        i64::from(claims.show_no)
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(ticket) = ticket else {
        return Ok(None);
    };
    // A statement of its own, which sees what whoever had the lock before did.
    let entry = sqlx::query!(
        "select scan_no, happened_at from checkins
         where ticket_id = $1 and result = 'ACCEPTED' and direction = 'in'
            and left_scan_no is null",
        ticket_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(Some(LockedTicket {
        state: TicketState {
            is_void: ticket.is_void,
            generation: ticket.token_generation,
            inside_since: entry.as_ref().map(|entry| entry.happened_at.into()),
        },
        entry_no: entry.map(|entry| entry.scan_no),
    }))
}

/// Records a scan. `None` when one of the show has its nonce.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: &NewScan<'_>,
    result: ScanResult,
    earlier_no: Option<i64>,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query!(
        "insert into checkins (show_no, nonce, ticket_digest, ticket_id, direction, result, gate,
            device, scanner_id, admitted, at, happened_at, received_at, earlier_scan_no)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         on conflict (show_no, nonce) do nothing returning scan_no",
        new.show_no,
        new.scan.nonce.as_str(),
        new.digest,
        new.claims.map(|claims| claims.ticket_id.uuid()),
        super::text_of(new.direction),
        result.as_str(),
        new.gate.as_str(),
        new.scan.device.as_ref().map(Label::as_str),
        new.scanner,
        new.scan.admitted,
        OffsetDateTime::from(new.scan.at),
        OffsetDateTime::from(new.happened_at),
        OffsetDateTime::from(new.received_at),
        earlier_no
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.scan_no))
}

/// Notes on a recorded scan that the device let the visitor pass by itself after all.
pub(crate) async fn note_admitted(
    connection: &mut PgConnection,
    show_no: Option<i32>,
    nonce: &Nonce,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update checkins set admitted = true
         where show_no is not distinct from $1 and nonce = $2 and not admitted",
        show_no,
        nonce.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes on a ticket that somebody went in with it.
pub(crate) async fn enter(
    connection: &mut PgConnection,
    ticket_id: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update tickets set status = 'CHECKED_IN' where ticket_id = $1 and status = 'ISSUED'",
        ticket_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends an entry by an exit. Whether it was open.
pub(crate) async fn leave(
    connection: &mut PgConnection,
    entry_no: i64,
    exit_no: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update checkins set left_scan_no = $2 where scan_no = $1 and left_scan_no is null",
        entry_no,
        exit_no
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many came to a show.
pub(crate) async fn counts(pool: &PgPool, show_no: i32) -> Result<CheckinCounts, StoreError> {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let all = sqlx::query!(
        r#"select
            (select count(*) from tickets where show_no = $1 and status <> 'VOID') as "tickets!",
            count(distinct ticket_id) filter (where result = 'ACCEPTED' and direction = 'in')
                as "admitted!",
            count(*) filter (where result = 'ACCEPTED' and direction = 'in'
                and left_scan_no is null) as "inside!",
            count(*) filter (where direction = 'in'
                and (result = 'DUPLICATE' or (admitted and result <> 'ACCEPTED')))
                as "conflicts!"
         from checkins where show_no = $1"#,
        show_no
    )
    .fetch_one(pool)
    .await?;
    let gates = sqlx::query!(
        r#"select gate,
            count(*) filter (where result = 'ACCEPTED' and direction = 'in') as "entered!",
            count(*) filter (where result = 'ACCEPTED' and direction = 'out') as "left!",
            count(*) filter (where result <> 'ACCEPTED') as "refused!",
            max(received_at) as "last_scan_at!"
         from checkins where show_no = $1 group by gate order by gate limit $2"#,
        show_no,
        GATES_MAX
    )
    .fetch_all(pool)
    .await?;
    let gates = gates.into_iter().map(|row| {
        Ok(GateCounts {
            gate: id("checkins", &row.gate)?,
            entered: count(row.entered),
            left: count(row.left),
            refused: count(row.refused),
            last_scan_at: row.last_scan_at.into(),
        })
    });
    Ok(CheckinCounts {
        tickets: count(all.tickets),
        admitted: count(all.admitted),
        inside: count(all.inside),
        conflicts: count(all.conflicts),
        gates: gates.collect::<Result<_, StoreError>>()?,
    })
}

/// Conflicts of a show, at most `limit`: those who were let in before refused doubles, of which there
/// can be any number; the latest first.
pub(crate) async fn conflicts(
    pool: &PgPool,
    show_no: i32,
    limit: i64,
) -> Result<Vec<Conflict>, StoreError> {
    let rows = sqlx::query!(
        r#"select c.result, c.direction, c.admitted, c.ticket_id, s.seat_id as "seat_id?",
            c.gate, c.device, c.scanner_id, c.at, c.received_at,
            e.gate as "earlier_gate?", e.device as earlier_device,
            e.scanner_id as earlier_scanner_id, e.at as "earlier_at?",
            e.received_at as "earlier_received_at?"
         from checkins c
         left join tickets t on t.ticket_id = c.ticket_id
         left join seats s on s.show_no = t.show_no and s.seat_no = t.seat_no
         left join checkins e on e.scan_no = c.earlier_scan_no
         where c.show_no = $1 and c.direction = 'in'
            and (c.result = 'DUPLICATE' or (c.admitted and c.result <> 'ACCEPTED'))
         order by c.admitted desc, c.scan_no desc limit $2"#,
        show_no,
        limit
    )
    .fetch_all(pool)
    .await?;
    let conflicts = rows.into_iter().map(|row| {
        let scan = PlaceColumns {
            gate: row.gate,
            device: row.device,
            scanner_id: row.scanner_id,
            at: row.at,
            received_at: row.received_at,
        };
        let earlier = match (row.earlier_gate, row.earlier_at, row.earlier_received_at) {
            (Some(gate), Some(at), Some(received_at)) => Some(PlaceColumns {
                gate,
                device: row.earlier_device,
                scanner_id: row.earlier_scanner_id,
                at,
                received_at,
            }),
            _ => None,
        };
        Ok(Conflict {
            result: word("checkins", &row.result)?,
            direction: word("checkins", &row.direction)?,
            admitted: row.admitted,
            ticket_id: row.ticket_id.map(TicketId::new),
            seat_id: row.seat_id,
            scan: scan.read()?,
            earlier: earlier.map(PlaceColumns::read).transpose()?,
        })
    });
    conflicts.collect()
}

/// Open entries with void tickets of a show, the latest first, at most `limit`.
pub(crate) async fn inside_void(
    pool: &PgPool,
    show_no: i32,
    limit: i64,
) -> Result<Vec<InsideVoid>, StoreError> {
    let rows = sqlx::query!(
        r#"select t.ticket_id, s.seat_id as "seat_id?", c.gate, c.device, c.scanner_id, c.at,
            c.received_at
         from tickets t join checkins c using (ticket_id)
         left join seats s on s.show_no = t.show_no and s.seat_no = t.seat_no
         where t.show_no = $1 and t.status = 'VOID' and c.result = 'ACCEPTED'
            and c.direction = 'in' and c.left_scan_no is null
         order by c.scan_no desc limit $2"#,
        show_no,
        limit
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let entry = PlaceColumns {
            gate: row.gate,
            device: row.device,
            scanner_id: row.scanner_id,
            at: row.at,
            received_at: row.received_at,
        };
        Ok(InsideVoid {
            ticket_id: TicketId::new(row.ticket_id),
            seat_id: row.seat_id,
            entry: entry.read()?,
        })
    });
    rows.collect()
}

/// The accepted entry of the visit of a locked ticket that was under way at `at` and has ended since.
pub(crate) async fn visit_at(
    connection: &mut PgConnection,
    ticket_id: Uuid,
    at: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query!(
        "select e.scan_no from checkins e join checkins x on x.scan_no = e.left_scan_no
         where e.ticket_id = $1 and e.result = 'ACCEPTED' and e.direction = 'in'
            and e.happened_at <= $2 and x.happened_at > $2
         order by e.scan_no desc limit 1",
        ticket_id,
        OffsetDateTime::from(at)
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.scan_no))
}

/// The tickets of a show that admit nobody, and those of which only newer prints admit.
pub(crate) async fn refused_tickets(
    pool: &PgPool,
    show_no: i32,
) -> Result<(Vec<TicketId>, Vec<ReissuedTicket>), StoreError> {
    let rows = sqlx::query!(
        r#"select ticket_id, status = 'VOID' as "is_void!", token_generation from tickets
         where show_no = $1 and (status = 'VOID' or token_generation > 1) order by ticket_id"#,
        show_no
    )
    .fetch_all(pool)
    .await?;
    let (mut revoked, mut reissued) = (Vec::new(), Vec::new());
    for row in rows {
        let ticket_id = TicketId::new(row.ticket_id);
        if row.is_void {
            revoked.push(ticket_id);
        } else {
            let generation = super::unsigned("tickets", row.token_generation)?;
            reissued.push(ReissuedTicket {
                ticket_id,
                generation,
            });
        }
    }
    Ok((revoked, reissued))
}
