//! Figures of sales as a consumer of events.

use std::sync::Arc;

use contract::ShowId;

use crate::config::{EVENT_BATCH_MAX, SALES_LISTED_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store::sales::{self, CategorySales, RoomConversion, ShowSales};

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
}
