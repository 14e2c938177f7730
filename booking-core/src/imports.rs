//! Importing show files.

use contract::booking::{ImportOutcome, ShowFile, ShowImported};
use show_file::Fault;

use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::recorded::Recorded;
use crate::shows::ShowDraft;
use crate::store;
use crate::store::import::Import;

/// The outcome of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedShow {
    /// The show was imported.
    Imported(ShowImported, Recorded),
    /// The file has faults.
    Invalid(Vec<Fault>),
    /// The import would change seats or terms that customers hold or bought.
    InUse,
    /// The import would move a show that has bookings.
    Moves,
}

impl Core {
    /// Imports a show file. Importing the same file again changes nothing.
    pub(crate) async fn show_import(&self, file: ShowFile) -> Result<ImportedShow, StoreError> {
        let now = self.clock.now();
        let draft = match ShowDraft::new(file, now) {
            Ok(draft) => draft,
            Err(faults) => return Ok(ImportedShow::Invalid(faults)),
        };
        if let Some(room) = &draft.show.file.room
            && !self.rooms.knows(room).await?
        {
            return Ok(ImportedShow::Invalid(vec![Fault {
                path: "room".to_owned(),
                what: format!("there is no room `{room}`; create it first"),
            }]));
        }
        let pool = &self.pools.jobs;
        let show_id = &draft.show.file.show_id;
        let import = repeat_if_contended(|| store::import::import(pool, &draft, now)).await?;
        let (outcome, before, after) = match import {
            Import::SeatsInUse | Import::TermsInUse => return Ok(ImportedShow::InUse),
            Import::Moves => return Ok(ImportedShow::Moves),
            Import::Done {
                outcome,
                before,
                after,
            } => (outcome, before, after),
        };
        // The import is committed; if this refresh fails, the next one picks it up.
        if let Err(error) = self.catalogue.renew(show_id, now).await {
            tracing::warn!(%error, "an imported show is not in memory yet");
        }
        let changed = match (outcome, &before, &after) {
            (ImportOutcome::Updated, Some(before), Some(after)) => after.changes_from(before),
            _ => Vec::new(),
        };
        let recorded = Recorded::new(before.as_deref(), after.as_deref());
        let imported = ShowImported {
            show_id: show_id.clone(),
            seat_count: u64::try_from(draft.show.seats.len()).unwrap_or(u64::MAX),
            outcome,
            changed,
        };
        Ok(ImportedShow::Imported(imported, recorded))
    }
}
