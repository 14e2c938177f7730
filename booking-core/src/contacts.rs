//! How customers want to be told of their bookings.

use std::sync::Arc;

use contract::contact::{Contact, ContactRequest, PreferredChannel, PushSubscription};
use contract::{BookingId, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::channels::phone;
use crate::channels::push::subscription;
use crate::core::Core;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::notice::ChannelKind;
use crate::store;
use crate::store::bookings::BookingRow;

/// The outcome of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContactChange {
    /// It is so now.
    Done(Contact),
    /// There is no such booking, or it is not the caller's.
    NotFound,
    /// The field is wrong, for this reason.
    Invalid(&'static str, &'static str),
    /// A one-time code is needed.
    CodeRequired,
    /// The code is wrong, used, too old or tried too often.
    CodeNotValid,
    /// The booking has as many browsers as it may.
    TooMany,
}

impl Core {
    /// How the customer of a booking is told.
    pub(crate) async fn contact(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<Contact>, StoreError> {
        match self.buyers_row(customer, booking_id).await? {
            Some(row) => Ok(Some(self.contact_of(row.booking_id).await?)),
            None => Ok(None),
        }
    }

    /// The booking, for its buyer alone: whoever was passed tickets on is told by mail, and must
    /// neither see nor change where the buyer is told.
    async fn buyers_row(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<BookingRow>, StoreError> {
        let row = self.booking_row(customer, booking_id).await?;
        Ok(row.filter(|row| row.reader.is_none()))
    }

    async fn contact_of(&self, booking_id: Uuid) -> Result<Contact, StoreError> {
        let row = store::contacts::find(&self.pools.money, booking_id).await?;
        Ok(Contact {
            preferred: match row.preferred.unwrap_or(ChannelKind::Email) {
                ChannelKind::Email => PreferredChannel::Email,
                ChannelKind::Sms => PreferredChannel::Sms,
                ChannelKind::Push => PreferredChannel::Push,
            },
            phone: row.phone.as_deref().map(phone::hidden),
            push_count: row.push_count,
            sms_offered: self.sms.is_some(),
            push_key: self.push.public_key(),
        })
    }

    /// Stores how the customer wants to be told. It takes a one-time code, whoever asks: notices go
    /// to the telephone afterwards.
    pub(crate) async fn contact_change(
        &self,
        customer: &Customer,
        booking_id: BookingId,
        wanted: &ContactRequest,
    ) -> Result<ContactChange, StoreError> {
        let Some(row) = self.buyers_row(customer, booking_id).await? else {
            return Ok(ContactChange::NotFound);
        };
        let written = wanted.phone.as_deref().map(str::trim);
        let number = match written.filter(|text| !text.is_empty()).map(phone::read) {
            Some(None) => {
                let what = "is not a telephone number with its country, such as +49 151 1234567";
                return Ok(ContactChange::Invalid("phone", what));
            }
            Some(number) => number,
            None => None,
        };
        let preferred = match wanted.preferred {
            PreferredChannel::Email => ChannelKind::Email,
            PreferredChannel::Sms => ChannelKind::Sms,
            PreferredChannel::Push => ChannelKind::Push,
        };
        if number.is_some() && self.sms.is_none() {
            return Ok(ContactChange::Invalid("phone", "no text messages are sent"));
        }
        if preferred == ChannelKind::Sms && number.is_none() {
            return Ok(ContactChange::Invalid(
                "phone",
                "is needed for text messages",
            ));
        }
        let code_id = match self.code_tried(&row, wanted.code.as_deref()).await? {
            Ok(code_id) => code_id,
            Err(refused) => return Ok(refused),
        };
        let now = self.clock.now();
        let mut tx = self.pools.money.begin().await?;
        store::contacts::save(&mut tx, row.booking_id, number.as_deref(), preferred, now).await?;
        if !store::guest_mails::code_use(&mut tx, code_id, now).await? {
            return Ok(ContactChange::CodeNotValid);
        }
        tx.commit().await?;
        Ok(ContactChange::Done(self.contact_of(row.booking_id).await?))
    }

    /// The id of the code, once the try is counted and it is right; or the refusal.
    async fn code_tried(
        &self,
        row: &BookingRow,
        code: Option<&str>,
    ) -> Result<Result<Uuid, ContactChange>, StoreError> {
        let Some(code) = code else {
            return Ok(Err(ContactChange::CodeRequired));
        };
        let now = self.clock.now();
        let mut tx = self.pools.money.begin().await?;
        let tried = store::guest_mails::code_try(&mut tx, row.booking_id, None, now).await?;
        // The try counts also when nothing comes of it.
        tx.commit().await?;
        let right = tried.filter(|code_id| self.links.is_code(*code_id, code));
        Ok(right.ok_or(ContactChange::CodeNotValid))
    }

    /// The code with which somebody who came by a link alone shows that the mail of the booking is
    /// theirs: links are forwarded. Nothing for the buyer's own browser.
    async fn code_beside_link(
        &self,
        customer: &Customer,
        row: &BookingRow,
        code: Option<&str>,
    ) -> Result<Result<Option<Uuid>, ContactChange>, StoreError> {
        if customer.owns(row.subject.as_deref(), row.session.as_deref()) {
            return Ok(Ok(None));
        }
        Ok(self.code_tried(row, code).await?.map(Some))
    }

    /// Adds a browser that takes push messages, which then come in place of mail.
    pub(crate) async fn push_add(
        &self,
        customer: &Customer,
        booking_id: BookingId,
        given: &PushSubscription,
        code: Option<&str>,
    ) -> Result<ContactChange, StoreError> {
        let Some(row) = self.buyers_row(customer, booking_id).await? else {
            return Ok(ContactChange::NotFound);
        };
        let browser = match subscription::read(given, &self.push.hosts) {
            Ok(browser) => browser,
            Err(what) => return Ok(ContactChange::Invalid("endpoint", what)),
        };
        let code_id = match self.code_beside_link(customer, &row, code).await? {
            Ok(code_id) => code_id,
            Err(refused) => return Ok(refused),
        };
        let now = self.clock.now();
        let id = self.randomness.uuid(now);
        let mut tx = self.pools.money.begin().await?;
        if !code_used(&mut tx, code_id, now).await? {
            return Ok(ContactChange::CodeNotValid);
        }
        if !store::contacts::subscribe(&mut tx, row.booking_id, id, &browser, now).await? {
            return Ok(ContactChange::TooMany);
        }
        tx.commit().await?;
        Ok(ContactChange::Done(self.contact_of(row.booking_id).await?))
    }

    /// Removes all browsers of a booking.
    pub(crate) async fn push_remove(
        &self,
        customer: &Customer,
        booking_id: BookingId,
        code: Option<&str>,
    ) -> Result<ContactChange, StoreError> {
        let Some(row) = self.buyers_row(customer, booking_id).await? else {
            return Ok(ContactChange::NotFound);
        };
        let code_id = match self.code_beside_link(customer, &row, code).await? {
            Ok(code_id) => code_id,
            Err(refused) => return Ok(refused),
        };
        let mut tx = self.pools.money.begin().await?;
        if !code_used(&mut tx, code_id, self.clock.now()).await? {
            return Ok(ContactChange::CodeNotValid);
        }
        store::contacts::unsubscribe(&mut tx, row.booking_id).await?;
        tx.commit().await?;
        Ok(ContactChange::Done(self.contact_of(row.booking_id).await?))
    }
}

/// Uses up a code, where one was needed. False if it was used before.
async fn code_used(
    connection: &mut PgConnection,
    code_id: Option<Uuid>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    match code_id {
        Some(code_id) => store::guest_mails::code_use(connection, code_id, now).await,
        None => Ok(true),
    }
}

impl Booking {
    /// How the customer of a booking is told.
    pub(crate) async fn contact(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<Contact>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.contact(&customer, booking_id).await };
        self.0.work.run(work).await
    }

    /// Stores how the customer wants to be told.
    pub(crate) async fn contact_change(
        &self,
        customer: &Customer,
        booking_id: BookingId,
        wanted: ContactRequest,
    ) -> Result<ContactChange, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.contact_change(&customer, booking_id, &wanted).await };
        self.0.work.run(work).await
    }

    /// Adds a browser that takes push messages, or removes all.
    pub(crate) async fn push_change(
        &self,
        customer: &Customer,
        booking_id: BookingId,
        added: Option<PushSubscription>,
        digits: Option<String>,
    ) -> Result<ContactChange, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move {
            let digits = digits.as_deref();
            match &added {
                Some(given) => core.push_add(&customer, booking_id, given, digits).await,
                None => core.push_remove(&customer, booking_id, digits).await,
            }
        };
        self.0.work.run(work).await
    }
}
