//! What holds cost: frozen when a hold is made, and changed only while nobody can pay for it.

use contract::pricing::PriceLine;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::database::StoreError;
use crate::money::HoldPrice;

/// The price of the hold; `None` if it is of an earlier version, which knew only the amount.
pub(crate) async fn of_hold(
    database: impl PgExecutor<'_>,
    hold_id: Uuid,
) -> Result<Option<HoldPrice>, StoreError> {
    let row = sqlx::query!(
        r#"select price_lines, ticket_prices,
            coalesce(ticket_types, array_fill(null::text, array[cardinality(seat_nos)]))
                as "ticket_types!: Vec<Option<String>>",
            array(select s.category
                from unnest(h.seat_nos) with ordinality as t (seat_no, at)
                join seats s on s.show_no = h.show_no and s.seat_no = t.seat_no
                order by t.at) as "categories!"
         from holds h where hold_id = $1"#,
        hold_id
    )
    .fetch_optional(database)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let Some((lines, shares)) = row.price_lines.zip(row.ticket_prices) else {
        return Ok(None);
    };
    Ok(Some(HoldPrice {
        lines: lines_of("holds", lines)?,
        shares,
        types: row.ticket_types,
        categories: row.categories,
    }))
}

/// The lines of a stored price.
pub(crate) fn lines_of(
    table: &'static str,
    lines: serde_json::Value,
) -> Result<Vec<PriceLine>, StoreError> {
    serde_json::from_value(lines).map_err(|error| StoreError::corrupt(table, error))
}

/// Sets the price of a locked hold for which nobody can pay at the moment, with the use of a coupon
/// that it contains.
pub(crate) async fn set(
    connection: &mut PgConnection,
    hold_id: Uuid,
    price: &HoldPrice,
    coupon_use_id: Option<Uuid>,
) -> Result<(), StoreError> {
    let lines = serde_json::to_value(&price.lines);
    let lines = lines.map_err(|error| StoreError::corrupt("holds", error))?;
    let has_types = price.types.iter().any(Option::is_some);
    let types: Option<&[Option<String>]> = has_types.then_some(&price.types);
    let done = sqlx::query!(
        "update holds set amount_minor = $2, price_lines = $3, ticket_prices = $4,
            ticket_types = $5, coupon_use_id = $6
         where hold_id = $1",
        hold_id,
        price.amount_minor(),
        lines,
        &price.shares,
        types as Option<&[Option<String>]>,
        coupon_use_id
    )
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::corrupt("holds", "a locked hold vanished"))
    }
}
