//! Invoices and credit notes.

use contract::invoice::{Invoice, InvoiceKind, Seller, tax_minor};
use contract::pricing::PriceLine;
use contract::{BookingId, Timestamp};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::prices::lines_of;
use super::{id, text_of, word};
use crate::database::StoreError;
use crate::money::invoice::Invoiced;
use crate::store::consumers::Part;

const TABLE: &str = "invoices";

/// Begins with the present end of the log, unless invoices were begun before.
pub(crate) async fn begin(pool: &PgPool, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "with begun as (
            insert into invoice_begin (position) select position from event_head
            on conflict do nothing returning position
        )
        insert into event_consumers (name, position, moved_at)
        select 'invoices', position, $1 from begun on conflict do nothing",
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What an event asks for.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    /// An invoice for a booking.
    Invoice(DueInvoice),
    /// A credit note for money of a booking that went back.
    Credit(DueCredit),
}

/// A booking that was paid.
#[derive(Clone, Debug)]
pub(crate) struct DueInvoice {
    pub(crate) position: i64,
    pub(crate) booking_id: Uuid,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    /// Empty for a booking of an earlier version.
    pub(crate) lines: Vec<PriceLine>,
}

/// Money of a booking that went back.
#[derive(Clone, Debug)]
pub(crate) struct DueCredit {
    pub(crate) position: i64,
    pub(crate) booking_id: Uuid,
    pub(crate) refund_id: Uuid,
    /// What went back altogether by the refunds that were made up to this one, with what disputes
    /// took over of them since: that is owed again when they are won, and then told of nowhere.
    pub(crate) announced_minor: i64,
    pub(crate) currency: String,
}

/// What the events of `part` ask for, in their order.
pub(crate) async fn due(connection: &mut PgConnection, part: Part) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"select e.position as "position!", b.booking_id, b.amount_minor, b.currency, b.price_lines,
            r.refund_id as "refund_id?", (
                select coalesce(sum(a.amount_minor + coalesce(
                    (select sum(o.amount_minor) from refund_takeovers o
                     where o.refund_id = a.refund_id and o.restored_at is null
                        and o.created_at >= m.occurred_at), 0)), 0)::bigint
                from refunds a
                left join events m on m.dedupe = 'refund.made:' || a.refund_id
                left join event_archive_keys k
                    on k.digest = md5('refund.made:' || a.refund_id)::uuid
                where a.payment_id = r.payment_id
                    and coalesce(m.position, k.position) <= e.position) as "announced_minor!"
         from (
            -- Casts only what is an id.
            select position, case when kind = 'booking.confirmed'
                    then substr(dedupe, length(kind) + 2)::uuid end as booking_id,
                case when kind = 'refund.made'
                    then substr(dedupe, length(kind) + 2)::uuid end as refund_id
            from event_log($1, $2)
                where kind in ('booking.confirmed', 'refund.made')
         ) e
         left join refunds r on r.refund_id = e.refund_id
         left join payments p on p.payment_id = r.payment_id and p.disposition = 'BOOKED'
         left join bookings o on o.hold_id = p.hold_id
         join bookings b on b.booking_id = coalesce(e.booking_id, o.booking_id)
         where b.amount_minor > 0
         order by e.position"#,
        part.after,
        part.to
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(match row.refund_id {
            Some(refund_id) => Due::Credit(DueCredit {
                position: row.position,
                booking_id: row.booking_id,
                refund_id,
                announced_minor: row.announced_minor,
                currency: row.currency,
            }),
            None => Due::Invoice(DueInvoice {
                position: row.position,
                booking_id: row.booking_id,
                amount_minor: row.amount_minor,
                currency: row.currency,
                lines: match row.price_lines {
                    Some(lines) => lines_of("bookings", lines)?,
                    None => Vec::new(),
                },
            }),
        })
    });
    rows.collect()
}

/// What was invoiced and credited for those of `bookings` that have an invoice.
pub(crate) async fn invoiced(
    connection: &mut PgConnection,
    bookings: &[Uuid],
) -> Result<Vec<(Uuid, Invoiced)>, StoreError> {
    let rows = sqlx::query!(
        r#"select i.booking_id, i.number, i.amount_minor, i.lines,
            coalesce((select sum(c.amount_minor) from invoices c
                where c.booking_id = i.booking_id and c.kind = 'CREDIT_NOTE'), 0)::bigint
                as "credited_minor!"
         from invoices i where i.kind = 'INVOICE' and i.booking_id = any($1)"#,
        bookings
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let invoiced = Invoiced {
            number: row.number,
            amount_minor: row.amount_minor,
            lines: lines_of(TABLE, row.lines)?,
            credited_minor: row.credited_minor,
        };
        Ok((row.booking_id, invoiced))
    });
    rows.collect()
}

/// A document that is about to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewInvoice {
    pub(crate) position: i64,
    pub(crate) number: String,
    pub(crate) kind: InvoiceKind,
    pub(crate) no: i32,
    pub(crate) booking_id: Uuid,
    pub(crate) refund_id: Option<Uuid>,
    pub(crate) of_number: Option<String>,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) lines: Vec<PriceLine>,
}

/// Gives `count` numbers of a series: the first of them. Its row stays locked until the transaction
/// is over, and the numbers are given back if it does not commit.
pub(crate) async fn numbers(
    connection: &mut PgConnection,
    kind: InvoiceKind,
    (series, year): (&str, i32),
    count: i32,
) -> Result<i32, StoreError> {
    let row = sqlx::query!(
        "insert into invoice_series as s (kind, series, year, last_no) values ($1, $2, $3, $4)
         on conflict (kind, series, year) do update set last_no = s.last_no + excluded.last_no
         returning last_no",
        text_of(kind),
        series,
        year,
        count
    )
    .fetch_one(connection)
    .await?;
    Ok(row.last_no - count + 1)
}

/// Writes documents of one series and year.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    documents: Vec<NewInvoice>,
    (series, year): (&str, i32),
    seller: &Seller,
    now: Timestamp,
) -> Result<(), StoreError> {
    let json = |error: serde_json::Error| StoreError::corrupt(TABLE, error);
    let (mut positions, mut numbers, mut kinds, mut nos) = (vec![], vec![], vec![], vec![]);
    let (mut bookings, mut refunds, mut of_numbers) = (vec![], vec![], vec![]);
    let (mut amounts, mut currencies, mut lines) = (vec![], vec![], vec![]);
    for document in documents {
        positions.push(document.position);
        numbers.push(document.number);
        kinds.push(text_of(document.kind));
        nos.push(document.no);
        bookings.push(document.booking_id);
        refunds.push(document.refund_id);
        of_numbers.push(document.of_number);
        amounts.push(document.amount_minor);
        currencies.push(document.currency);
        lines.push(serde_json::to_value(&document.lines).map_err(json)?);
    }
    sqlx::query!(
        "insert into invoices (position, number, kind, series, year, no, booking_id, refund_id,
            of_number, amount_minor, currency, lines, seller, issued_at)
         select n.position, n.number, n.kind, $11, $12, n.no, n.booking_id, n.refund_id,
            n.of_number, n.amount_minor, n.currency, n.lines, $13, $14
         from unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::uuid[], $6::uuid[],
            $7::text[], $8::bigint[], $9::text[], $10::jsonb[])
            as n (position, number, kind, no, booking_id, refund_id, of_number, amount_minor,
                currency, lines)",
        &positions,
        &numbers,
        &kinds,
        &nos,
        &bookings,
        &refunds as &[Option<Uuid>],
        &of_numbers as &[Option<String>],
        &amounts,
        &currencies,
        &lines,
        series,
        year,
        serde_json::to_value(seller).map_err(json)?,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which documents are read. All that are given have to fit.
#[derive(Clone, Debug, Default)]
pub(crate) struct InvoiceFilter {
    pub(crate) number: Option<String>,
    pub(crate) booking_id: Option<Uuid>,
    pub(crate) year: Option<i32>,
    pub(crate) kind: Option<InvoiceKind>,
    /// Only those after this position.
    pub(crate) after: i64,
}

/// Documents that fit, with their positions, in the order in which they were made, at most `limit`.
pub(crate) async fn list(
    pool: &PgPool,
    filter: &InvoiceFilter,
    limit: i64,
) -> Result<Vec<(i64, Invoice)>, StoreError> {
    let rows = sqlx::query_as!(
        InvoiceRow,
        "select i.position, i.number, i.kind, i.of_number, i.booking_id, b.code, b.email, s.show_id,
            i.amount_minor, i.currency, i.lines, i.seller, i.issued_at
         from invoices i join bookings b using (booking_id) join shows s using (show_no)
         where i.position > $1 and ($2::text is null or i.number = $2)
            and ($3::uuid is null or i.booking_id = $3) and ($4::integer is null or i.year = $4)
            and ($5::text is null or i.kind = $5)
         order by i.position limit $6",
        filter.after,
        filter.number,
        filter.booking_id,
        filter.year,
        filter.kind.map(text_of),
        limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(InvoiceRow::read).collect()
}

struct InvoiceRow {
    position: i64,
    number: String,
    kind: String,
    of_number: Option<String>,
    booking_id: Uuid,
    code: String,
    email: String,
    show_id: String,
    amount_minor: i64,
    currency: String,
    lines: Value,
    seller: Value,
    issued_at: OffsetDateTime,
}

impl InvoiceRow {
    fn read(self) -> Result<(i64, Invoice), StoreError> {
        let lines = lines_of(TABLE, self.lines)?;
        let seller = serde_json::from_value(self.seller);
        let invoice = Invoice {
            number: self.number,
            kind: word(TABLE, &self.kind)?,
            of_number: self.of_number,
            booking_id: BookingId::new(self.booking_id),
            booking_code: self.code,
            email: self.email,
            show_id: id("shows", &self.show_id)?,
            amount_minor: self.amount_minor,
            tax_minor: tax_minor(&lines),
            currency: self.currency,
            lines,
            seller: seller.map_err(|error| StoreError::corrupt(TABLE, error))?,
            issued_at: self.issued_at.into(),
        };
        Ok((self.position, invoice))
    }
}
