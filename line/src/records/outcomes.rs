//! What became of admissions: written down for a line that has to be made again, and forgotten when
//! no such line asks for it any more.

use contract::RoomId;
use contract::room::RoomSettings;
use time::OffsetDateTime;

use super::admissions::Admissions;
use super::columns::bigint;
use super::error::RecordsError;
use super::room_record::settings_read;
use crate::policy::outcome::Outcome;

/// A room of which outcomes are noted.
#[derive(Clone, Debug, PartialEq)]
pub struct NotedRoom {
    /// Its name.
    pub room: RoomId,
    /// Where its log ends.
    pub log_end: u64,
    /// Which of them are needed.
    pub needed: Needed,
}

/// Which outcomes of a room a line that is made again asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Needed {
    /// Those that are young enough by the room's settings.
    By(Box<RoomSettings>),
    /// None: the room was deleted.
    None,
    /// All, as nobody can tell.
    All,
}

impl Admissions {
    /// The first room by name behind `after` of which outcomes are noted; of all without one.
    pub async fn outcomes_room(
        &self,
        after: Option<&RoomId>,
    ) -> Result<Option<NotedRoom>, RecordsError> {
        let after = after.map_or_else(String::new, ToString::to_string);
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let row = sqlx::query!(
                        r#"select noted.room as "room?", h.seq as "log_end?",
                             r.settings as "settings?", r.deleted_at
                         from (select min(room) as room from admission_outcomes where room > $1) noted
                         left join admission_heads h on h.room = noted.room
                         left join rooms r on r.slug = noted.room"#,
                        after,
                    )
                    .fetch_one(connection)
                    .await?;
                    let Some(name) = row.room else { return Ok(None) };
                    let corrupt = |detail| RecordsError::Corrupt {
                        table: "admission_outcomes",
                        detail,
                    };
                    let room = name.parse().map_err(|_| corrupt(format!("room {name}")))?;
                    let log_end = row.log_end.unwrap_or(0).unsigned_abs();
                    let needed = match (row.deleted_at, row.settings.map(settings_read)) {
                        (Some(_), _) | (None, None) => Needed::None,
                        (None, Some(Ok(settings))) => Needed::By(Box::new(settings)),
                        (None, Some(Err(error))) => {
                            tracing::error!(room = name, %error, "stored settings are unreadable");
                            Needed::All
                        }
                    };
                    Ok(Some(NotedRoom {
                        room,
                        log_end,
                        needed,
                    }))
                })
            })
            .await
    }

    /// Forgets outcomes of admissions up to `upto`, at most `limit`. How many there were. Waits for
    /// no row that is being written: who writes it down again, or forgets it too, is let alone.
    pub async fn outcomes_forget(
        &self,
        room: &RoomId,
        upto: u64,
        limit: u64,
    ) -> Result<u64, RecordsError> {
        let room = room.clone();
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let done = sqlx::query!(
                        "delete from admission_outcomes where room = $1 and place in (
                             select place from admission_outcomes where room = $1 and seq <= $2
                             order by seq limit $3 for update skip locked)",
                        room.as_str(),
                        bigint(upto),
                        bigint(limit),
                    )
                    .execute(connection)
                    .await?;
                    Ok(done.rows_affected())
                })
            })
            .await
    }

    /// Notes what became of admissions. Older word than what is known changes nothing.
    pub async fn outcomes_note(
        &self,
        room: &RoomId,
        outcomes: &[Outcome],
    ) -> Result<(), RecordsError> {
        let room = room.clone();
        let places: Vec<_> = outcomes
            .iter()
            .map(|o| o.place.as_bytes().to_vec())
            .collect();
        let seqs: Vec<_> = outcomes.iter().map(|o| bigint(o.seq)).collect();
        let fates: Vec<_> = outcomes.iter().map(|o| o.fate.word().to_owned()).collect();
        let untils: Vec<_> = outcomes
            .iter()
            .map(|o| o.fate.until().map(OffsetDateTime::from))
            .collect();
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query!(
                        "insert into admission_outcomes (room, place, seq, fate, until_at)
                         select $1, noted.* from unnest(
                             $2::bytea[], $3::bigint[], $4::text[], $5::timestamptz[]
                         ) as noted (place, seq, fate, until_at)
                         -- Whoever left without a call is in no log, and never asked for.
                         where exists (select 1 from admissions a
                             where a.room = $1 and a.place = noted.place)
                         on conflict (room, place) do update
                         set seq = excluded.seq, fate = excluded.fate, until_at = excluded.until_at
                         where excluded.seq >= admission_outcomes.seq",
                        room.as_str(),
                        &places[..],
                        &seqs[..],
                        &fates[..],
                        &untils[..] as &[Option<OffsetDateTime>],
                    )
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }
}
