//! Figures of sales as a consumer of events.

use std::sync::Arc;

use contract::{ShowId, Timestamp};

use crate::config::{EVENT_BATCH_MAX, SALES_LISTED_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store::sales::{self, CategorySales, RoomConversion, ShowSales};
use crate::store::sales_overview::{self, ShowOverview};

/// Hours that the overview tells of, the present one included.
const OVERVIEW_HOURS: u32 = 24;
/// Most shows in the overview.
const OVERVIEW_SHOWS_MAX: i64 = 100;

/// Sales by show, by category, and conversion by room.
type Figures = (Vec<ShowSales>, Vec<CategorySales>, Vec<RoomConversion>);

impl Core {
    /// Takes events into the figures of sales. Returns how many.
    pub(crate) async fn sales_once(&self) -> Result<usize, StoreError> {
        sales::take(&self.pools.jobs, self.clock.now(), EVENT_BATCH_MAX).await
    }
}

impl Booking {
    /// Takes events into the figures of sales. Returns how many. The background work does this too.
    pub async fn sales_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        self.0
            .work
            .run(async move { core.sales_once().await })
            .await
    }

    /// What was sold of a show, or of all.
    pub(crate) async fn sales(
        &self,
        show: Option<ShowId>,
        hourly: bool,
    ) -> Result<Figures, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let pool = &core.pools.reads;
            let show = show.as_ref().map(ShowId::as_str);
            Ok((
                sales::by_show(pool, show, SALES_LISTED_MAX).await?,
                sales::by_category(pool, show, hourly, SALES_LISTED_MAX).await?,
                sales::conversion(pool, show).await?,
            ))
        };
        self.0.work.run(work).await
    }

    /// The shows that are not over, with their seats and sales.
    pub(crate) async fn sales_overview(
        &self,
        now: Timestamp,
    ) -> Result<Vec<ShowOverview>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let pool = &core.pools.reads;
            let rooms = sales::conversion(pool, None).await?;
            sales_overview::read(pool, rooms, now, OVERVIEW_HOURS, OVERVIEW_SHOWS_MAX).await
        };
        self.0.work.run(work).await
    }
}
