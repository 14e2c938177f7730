//! Reads the states of seats, and frees, retakes and books seats.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::word;
use crate::database::StoreError;
use crate::shows::SeatState;

/// The state of a seat after a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeatReport {
    pub(crate) show_no: i32,
    pub(crate) seat_no: i32,
    pub(crate) state: SeatState,
}

/// A hold whose seats are freed.
#[derive(Clone, Debug)]
pub(crate) struct Returned {
    pub(crate) hold_id: Uuid,
    pub(crate) show_no: i32,
    pub(crate) seat_nos: Vec<i32>,
    pub(crate) limit_owner: String,
}

/// All seats of a show.
pub(crate) async fn all(pool: &PgPool, show_no: i32) -> Result<Vec<SeatReport>, StoreError> {
    let rows = sqlx::query!(
        "select seat_no, status, version from show_seats where show_no = $1",
        show_no
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| report(show_no, row.seat_no, &row.status, row.version))
        .collect()
}

/// Some seats of a show.
pub(crate) async fn some(
    connection: &mut PgConnection,
    show_no: i32,
    seat_nos: &[i32],
) -> Result<Vec<SeatReport>, StoreError> {
    let rows = sqlx::query!(
        "select seat_no, status, version from show_seats
         where show_no = $1 and seat_no = any($2)",
        show_no,
        seat_nos
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| report(show_no, row.seat_no, &row.status, row.version))
        .collect()
}

fn report(
    show_no: i32,
    seat_no: i32,
    status: &str,
    version: i32,
) -> Result<SeatReport, StoreError> {
    Ok(SeatReport {
        show_no,
        seat_no,
        state: SeatState {
            status: word("show_seats", status)?,
            version,
        },
    })
}

/// Frees the seats of holds that the caller has locked and closed, and lowers their owners' ticket
/// counts. Seats are locked by number and counts by owner, as in all transactions.
pub(crate) async fn give_back(
    connection: &mut PgConnection,
    holds: &[Returned],
) -> Result<Vec<SeatReport>, StoreError> {
    let mut show_nos = Vec::new();
    let mut seat_nos = Vec::new();
    let mut hold_ids = Vec::new();
    for hold in holds {
        for seat_no in &hold.seat_nos {
            show_nos.push(hold.show_no);
            seat_nos.push(*seat_no);
            hold_ids.push(hold.hold_id);
        }
    }
    let rows = sqlx::query!(
        r#"with wanted as materialized (
            select * from unnest($1::integer[], $2::integer[], $3::uuid[])
                as w (show_no, seat_no, hold_id)
        ), locked as materialized (
            select s.show_no, s.seat_no from show_seats s join wanted w
                on s.show_no = w.show_no and s.seat_no = w.seat_no and s.hold_id = w.hold_id
            where s.status = 'HELD'
            order by s.show_no, s.seat_no for no key update of s
        )
        update show_seats s set status = 'AVAILABLE', hold_id = null, version = s.version + 1
        from locked l where s.show_no = l.show_no and s.seat_no = l.seat_no
        returning s.show_no, s.seat_no, s.version"#,
        &show_nos,
        &seat_nos,
        &hold_ids
    )
    .fetch_all(&mut *connection)
    .await?;
    if rows.len() != seat_nos.len() {
        let what = format!("{} of {} held seats were there", rows.len(), seat_nos.len());
        return Err(StoreError::corrupt("show_seats", what));
    }
    counts_lower(connection, holds).await?;
    rows.into_iter()
        .map(|row| report(row.show_no, row.seat_no, "AVAILABLE", row.version))
        .collect()
}

async fn counts_lower(connection: &mut PgConnection, holds: &[Returned]) -> Result<(), StoreError> {
    let show_nos: Vec<i32> = holds.iter().map(|hold| hold.show_no).collect();
    let owners: Vec<String> = holds.iter().map(|hold| hold.limit_owner.clone()).collect();
    let counts: Vec<i32> = holds
        .iter()
        .map(|hold| i32::try_from(hold.seat_nos.len()).unwrap_or(i32::MAX))
        .collect();
    sqlx::query!(
        "with given as materialized (
            select show_no, owner, sum(ticket_count)::integer as ticket_count
            from unnest($1::integer[], $2::text[], $3::integer[]) as g (show_no, owner, ticket_count)
            group by show_no, owner
        ), locked as materialized (
            select c.show_no, c.owner from owner_ticket_counts c join given using (show_no, owner)
            order by c.show_no, c.owner for no key update of c
        )
        update owner_ticket_counts c set ticket_count = c.ticket_count - g.ticket_count
        from given g join locked l using (show_no, owner)
        where c.show_no = g.show_no and c.owner = g.owner",
        &show_nos,
        &owners,
        &counts
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes free seats for a hold that has ended, all or none, and counts them against its owner.
/// Waits for locked rows instead of skipping them, because the money is captured.
pub(crate) async fn take_again(
    connection: &mut PgConnection,
    hold: &Returned,
    ticket_limit: i32,
) -> Result<bool, StoreError> {
    let free = sqlx::query!(
        "select seat_no from show_seats
         where show_no = $1 and seat_no = any($2) and status = 'AVAILABLE'
         order by seat_no for no key update",
        hold.show_no,
        &hold.seat_nos
    )
    .fetch_all(&mut *connection)
    .await?;
    if free.len() != hold.seat_nos.len() {
        return Ok(false);
    }
    let seat_count = i32::try_from(hold.seat_nos.len()).unwrap_or(i32::MAX);
    let counted = sqlx::query!(
        "insert into owner_ticket_counts as c (show_no, owner, ticket_count)
         values ($1, $2, $3)
         on conflict (show_no, owner) do update
            set ticket_count = c.ticket_count + excluded.ticket_count
            where c.ticket_count + excluded.ticket_count <= $4",
        hold.show_no,
        hold.limit_owner,
        seat_count,
        ticket_limit
    )
    .execute(&mut *connection)
    .await?;
    if counted.rows_affected() != 1 {
        return Ok(false);
    }
    let taken = sqlx::query!(
        "update show_seats set status = 'HELD', hold_id = $3, version = version + 1
         where show_no = $1 and seat_no = any($2)",
        hold.show_no,
        &hold.seat_nos,
        hold.hold_id
    )
    .execute(connection)
    .await?;
    if taken.rows_affected() == u64::try_from(hold.seat_nos.len()).unwrap_or(u64::MAX) {
        Ok(true)
    } else {
        Err(StoreError::corrupt(
            "show_seats",
            "locked seats were not updated",
        ))
    }
}

/// Marks the seats of `hold` as booked.
pub(crate) async fn book(
    connection: &mut PgConnection,
    hold: &Returned,
    booking_id: Uuid,
) -> Result<Vec<SeatReport>, StoreError> {
    let rows = sqlx::query!(
        "with locked as materialized (
            select seat_no from show_seats
            where show_no = $1 and seat_no = any($2) and hold_id = $3 and status = 'HELD'
            order by seat_no for no key update
        )
        update show_seats s
        set status = 'BOOKED', hold_id = null, booking_id = $4, version = s.version + 1
        from locked l where s.show_no = $1 and s.seat_no = l.seat_no
        returning s.seat_no, s.version",
        hold.show_no,
        &hold.seat_nos,
        hold.hold_id,
        booking_id
    )
    .fetch_all(connection)
    .await?;
    if rows.len() != hold.seat_nos.len() {
        let what = format!("hold {} does not have its seats", hold.hold_id);
        return Err(StoreError::corrupt("show_seats", what));
    }
    rows.into_iter()
        .map(|row| report(hold.show_no, row.seat_no, "BOOKED", row.version))
        .collect()
}

/// Frees the booked seats of `booking_id`, made from the locked `hold`, and lowers its owner's
/// ticket count. Returns the seats; none if they were freed before.
pub(crate) async fn unbook(
    connection: &mut PgConnection,
    hold: &Returned,
    booking_id: Uuid,
) -> Result<Vec<SeatReport>, StoreError> {
    let rows = sqlx::query!(
        "with locked as materialized (
            select seat_no from show_seats
            where show_no = $1 and seat_no = any($2) and booking_id = $3 and status = 'BOOKED'
            order by seat_no for no key update
        )
        update show_seats s
        set status = 'AVAILABLE', booking_id = null, version = s.version + 1
        from locked l where s.show_no = $1 and s.seat_no = l.seat_no
        returning s.seat_no, s.version",
        hold.show_no,
        &hold.seat_nos,
        booking_id
    )
    .fetch_all(&mut *connection)
    .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let freed = Returned {
        seat_nos: rows.iter().map(|row| row.seat_no).collect(),
        ..hold.clone()
    };
    counts_lower(connection, &[freed]).await?;
    rows.into_iter()
        .map(|row| report(hold.show_no, row.seat_no, "AVAILABLE", row.version))
        .collect()
}
