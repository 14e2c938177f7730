//! Making invoices and credit notes, and reading them.
//!
//! A consumer of the log of events makes a document for each booking that was paid and each refund
//! that was made. It moves its position, gives the numbers and writes the documents in one
//! transaction, so that a process that dies has given no number, and no event gets two.

use std::collections::HashMap;
use std::sync::Arc;

use contract::invoice::{Invoice, InvoiceKind};
use contract::pricing::LineKind;
use contract::{BookingId, ShowId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::EVENT_BATCH_MAX;
use crate::core::Core;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::money::invoice::{Invoiced, line, number};
use crate::store::consumers;
use crate::store::invoices::{self, Due, InvoiceFilter, NewInvoice};
use crate::ticket_files::PrintedInvoice;

/// Most documents of one booking that its page shows.
const OF_BOOKING_MAX: i64 = 50;
/// What stands for the lines of a booking that has none.
const TICKETS_LINE: &str = "Tickets";

/// Documents without numbers, in the order of their events. `known` has what was invoiced before.
fn documents(due: Vec<Due>, mut known: HashMap<Uuid, Invoiced>) -> Vec<NewInvoice> {
    let mut made: Vec<NewInvoice> = Vec::new();
    for due in due {
        match due {
            Due::Invoice(due) => {
                let lines = if due.lines.is_empty() {
                    vec![line(LineKind::Ticket, TICKETS_LINE, due.amount_minor)]
                } else {
                    due.lines
                };
                let invoiced = Invoiced {
                    number: String::new(),
                    amount_minor: due.amount_minor,
                    lines: lines.clone(),
                    credited_minor: 0,
                };
                known.insert(due.booking_id, invoiced);
                made.push(NewInvoice {
                    position: due.position,
                    number: String::new(),
                    kind: InvoiceKind::Invoice,
                    no: 0,
                    booking_id: due.booking_id,
                    refund_id: None,
                    of_number: None,
                    amount_minor: due.amount_minor,
                    currency: due.currency,
                    lines,
                });
            }
            Due::Credit(due) => {
                // Without an invoice there is nothing to credit.
                let Some(invoiced) = known.get_mut(&due.booking_id) else {
                    continue;
                };
                let Some((amount_minor, lines)) = invoiced.credit(due.announced_minor) else {
                    continue;
                };
                made.push(NewInvoice {
                    position: due.position,
                    number: String::new(),
                    kind: InvoiceKind::CreditNote,
                    no: 0,
                    booking_id: due.booking_id,
                    refund_id: Some(due.refund_id),
                    of_number: Some(invoiced.number.clone()),
                    amount_minor,
                    currency: due.currency,
                    lines,
                });
            }
        }
    }
    made
}

/// Gives documents of `kind` the numbers from `first` on.
fn numbered(documents: &mut [NewInvoice], kind: InvoiceKind, series: (&str, i32), first: i32) {
    let of_kind = documents.iter_mut().filter(|it| it.kind == kind);
    for (no, document) in (first..).zip(of_kind) {
        document.no = no;
        document.number = number(kind, series.0, series.1, no);
    }
}

/// Names the invoice in credit notes whose invoice was made with them.
fn referred(documents: &mut [NewInvoice]) {
    let invoices = documents
        .iter()
        .filter(|it| it.kind == InvoiceKind::Invoice);
    let numbers: HashMap<Uuid, String> = invoices
        .map(|invoice| (invoice.booking_id, invoice.number.clone()))
        .collect();
    for document in documents.iter_mut() {
        if document.of_number.as_deref() == Some("") {
            document.of_number = numbers.get(&document.booking_id).cloned();
        }
    }
}

impl Core {
    /// Makes the documents of some events. Returns how many events there were.
    pub(crate) async fn invoices_once(&self) -> Result<usize, StoreError> {
        let Some(config) = &self.config.invoices else {
            return Ok(0);
        };
        let now = self.clock.now();
        invoices::begin(&self.pools.jobs, now).await?;
        let mut tx = self.pools.jobs.begin().await?;
        let Some(part) = consumers::take(&mut tx, "invoices", EVENT_BATCH_MAX).await? else {
            return Ok(0);
        };
        let due = invoices::due(&mut tx, part).await?;
        let credited = due.iter().filter_map(|due| match due {
            Due::Credit(due) => Some(due.booking_id),
            Due::Invoice(_) => None,
        });
        let credited: Vec<Uuid> = credited.collect();
        let known = invoices::invoiced(&mut tx, &credited).await?;
        let mut made = documents(due, known.into_iter().collect());
        let series = (config.prefix.as_str(), OffsetDateTime::from(now).year());
        // Always in this order, so that two processes cannot wait for each other.
        for kind in [InvoiceKind::Invoice, InvoiceKind::CreditNote] {
            let count = made.iter().filter(|it| it.kind == kind).count();
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            if count > 0 {
                let first = invoices::numbers(&mut tx, kind, series, count).await?;
                numbered(&mut made, kind, series, first);
            }
        }
        referred(&mut made);
        invoices::insert(&mut tx, made, series, &config.seller, now).await?;
        consumers::moved(&mut tx, "invoices", part, now).await?;
        tx.commit().await?;
        Ok(usize::try_from(part.to - part.after).unwrap_or(0))
    }

    /// The documents of a booking of the customer, who bought it; `None` for other readers.
    pub(crate) async fn invoices_of(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<Vec<Invoice>>, StoreError> {
        let Some(row) = self.booking_row(customer, booking_id).await? else {
            return Ok(None);
        };
        if row.reader.is_some() {
            return Ok(None);
        }
        let filter = InvoiceFilter {
            booking_id: Some(booking_id.uuid()),
            ..InvoiceFilter::default()
        };
        let found = invoices::list(&self.pools.reads, &filter, OF_BOOKING_MAX).await?;
        Ok(Some(
            found.into_iter().map(|(_, invoice)| invoice).collect(),
        ))
    }

    /// What a document looks like on paper; `None` when its show is gone.
    async fn invoice_printed(
        &self,
        invoice: Invoice,
    ) -> Result<Option<PrintedInvoice>, StoreError> {
        let show_id: &ShowId = &invoice.show_id;
        let show = self.catalogue.view(show_id, self.clock.now()).await?;
        Ok(show.map(|show| PrintedInvoice { invoice, show }))
    }
}

impl Booking {
    /// Makes the documents of some events. Returns how many events there were. The background work
    /// does this too.
    pub async fn invoices_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.invoices_once().await };
        self.0.work.run(work).await
    }

    /// The documents of a booking of the customer; `None` when it is not theirs.
    pub(crate) async fn invoices_of(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<Vec<Invoice>>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.invoices_of(&customer, booking_id).await };
        self.0.work.run(work).await
    }

    /// Documents for operators, with their positions.
    pub(crate) async fn invoices(
        &self,
        filter: InvoiceFilter,
        limit: i64,
    ) -> Result<Vec<(i64, Invoice)>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { invoices::list(&core.pools.reads, &filter, limit).await };
        self.0.work.run(work).await
    }

    /// What a document looks like on paper; `None` when its show is gone.
    pub(crate) async fn invoice_printed(
        &self,
        invoice: Invoice,
    ) -> Result<Option<PrintedInvoice>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.invoice_printed(invoice).await };
        self.0.work.run(work).await
    }
}
