//! The settings as they are given: on the command line, in the environment, in the settings file.

use std::fmt;
use std::path::Path;

use clap::Args;

/// The settings file, in the working directory unless named.
pub(super) const FILE_DEFAULT: &str = "ropeline.toml";

/// How a setting is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// As it is.
    Plain,
    /// Without the password in it.
    Url,
    /// Not at all.
    Hidden,
}

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident = $env:literal, $show:ident, $default:literal
        $(, $clap:meta)*;)+) => {
        /// Settings as given; what is absent has a default.
        #[derive(Clone, Default, Args)]
        pub(super) struct Settings {
            /// Settings file [default: ropeline.toml, if there is one]
            #[arg(long, env = "ROPELINE_CONFIG", global = true, value_name = "FILE")]
            pub(super) config: Option<String>,
            $($(#[$doc])* #[arg(long, env = $env, global = true $(, $clap)*)]
            pub(super) $field: Option<String>,)+
        }

        impl Settings {
            /// These settings, and from `other` what they do not say. An empty text says nothing.
            pub(super) fn or(self, other: Self) -> Self {
                Self {
                    config: given(self.config),
                    $($field: given(self.$field).or_else(|| given(other.$field)),)+
                }
            }

            /// The settings of a file; what cannot be used is noted and left out.
            pub(super) fn from_table(table: toml::Table, note: &mut impl FnMut(String)) -> Self {
                let mut settings = Self::default();
                for (name, value) in table {
                    let place = match name.as_str() {
                        $(stringify!($field) => &mut settings.$field,)+
                        _ => {
                            note(format!("there is no setting `{name}`"));
                            continue;
                        }
                    };
                    match value {
                        toml::Value::String(text) => *place = Some(text),
                        other => note(format!(
                            "{name}: write it as text in quotes, not as {}", other.type_str()
                        )),
                    }
                }
                settings
            }

            /// Name, text, how it is shown, and what is in force without it.
            pub(super) fn all(&self) -> Vec<(&'static str, Option<&str>, Show, &'static str)> {
                vec![$(($env, self.$field.as_deref(), Show::$show, $default),)+]
            }
        }
    };
}

settings! {
    /// Public listener: fans, gate, booking API [default: 127.0.0.1:8080]
    listen = "ROPELINE_LISTEN", Plain, "127.0.0.1:8080", value_name = "ADDRESS";
    /// Operators' listener: admin API, dashboard, metrics [default: 127.0.0.1:8081]
    ops_listen = "ROPELINE_OPS_LISTEN", Plain, "127.0.0.1:8081", value_name = "ADDRESS";
    /// PEM file of the certificate with which TLS is spoken, with those of its authorities after it; reread when it changes [default: TLS is not spoken]
    tls_cert = "ROPELINE_TLS_CERT", Plain, "TLS is not spoken", value_name = "FILE";
    /// PEM file of the private key of that certificate
    tls_key = "ROPELINE_TLS_KEY", Plain, "none", value_name = "FILE";
    /// Names that a certificate is ordered for by ACME, comma-separated, in place of files; by it you agree to the terms of the authority [default: none is ordered]
    acme_domains = "ROPELINE_ACME_DOMAINS", Plain, "none is ordered", value_name = "NAMES";
    /// Whom the authority that gives certificates may write to
    acme_email = "ROPELINE_ACME_EMAIL", Plain, "none", value_name = "ADDRESS";
    /// The directory of the authority that gives certificates [default: that of Let's Encrypt]
    acme_directory = "ROPELINE_ACME_DIRECTORY", Plain, "https://acme-v02.api.letsencrypt.org/directory", value_name = "URL";
    /// Directory for the account and the certificate that are ordered, with their keys; gateways that share it share them [default: acme in the data directory]
    acme_dir = "ROPELINE_ACME_DIR", Plain, "acme in the data directory", value_name = "DIRECTORY";
    /// Public listener for TLS, beside the plain one [default: 127.0.0.1:8443]
    tls_listen = "ROPELINE_TLS_LISTEN", Plain, "127.0.0.1:8443", value_name = "ADDRESS";
    /// Whether people who come to the plain listener, and not by a trusted proxy, are sent to the one for TLS: on or off [default: off]
    tls_redirect = "ROPELINE_TLS_REDIRECT", Plain, "off", value_name = "ON|OFF";
    /// PEM file of the certificate of the operators' listener, which then speaks TLS only [default: plain HTTP]
    ops_tls_cert = "ROPELINE_OPS_TLS_CERT", Plain, "plain HTTP", value_name = "FILE";
    /// PEM file of the private key of that certificate
    ops_tls_key = "ROPELINE_OPS_TLS_KEY", Plain, "none", value_name = "FILE";
    /// Whether connections to the public listener begin with a PROXY header, which trusted proxies alone may send: off or v1v2 [default: off]
    proxy_protocol = "ROPELINE_PROXY_PROTOCOL", Plain, "off", value_name = "VERSIONS";
    /// Where fans reach the public listener [default: https:// and the address for TLS; http:// and its address without]
    public_url = "ROPELINE_PUBLIC_URL", Plain, "the public listener's address", value_name = "URL";
    /// Redis for the live line: redis://… or rediss://…, several separated by commas for a Redis Cluster, or redis+sentinel://host:port,host:port/service [default: a private one]
    redis_url = "ROPELINE_REDIS_URL", Url, "a private one", value_name = "URL", hide_env_values = true;
    /// PEM file of authorities whose certificates are believed beside those of the system [default: those of the system]
    ca_file = "ROPELINE_CA_FILE", Plain, "those of the system", value_name = "FILE";
    /// PostgreSQL, postgres://… [default: a private one]
    database_url = "ROPELINE_DATABASE_URL", Url, "a private one", value_name = "URL", hide_env_values = true;
    /// Data of private servers, generated keys, admin token [default: .ropeline]
    data_dir = "ROPELINE_DATA_DIR", Plain, ".ropeline", value_name = "DIR";
    /// Ed25519 keys in PEM files, comma-separated; one signs, all verify [default: generated in the data directory]
    signing_keys = "ROPELINE_SIGNING_KEYS", Plain, "generated in the data directory", value_name = "FILES";
    /// Id of the signing key that signs, as soon as all gateways verify it; `config check` tells the ids [default: that of the first]
    signing_key_id = "ROPELINE_SIGNING_KEY_ID", Plain, "that of the first", value_name = "ID";
    /// `iss` of passes [default: the public URL]
    issuer = "ROPELINE_ISSUER", Plain, "the public URL", value_name = "TEXT";
    /// Full-rights bearer token of the operators' listener; 16 characters or more are hard to guess [default: generated in the data directory]
    admin_token = "ROPELINE_ADMIN_TOKEN", Hidden, "generated in the data directory", value_name = "TOKEN", hide_env_values = true;
    /// Comma-separated networks whose X-Forwarded-For is believed [default: none]
    trusted_proxies = "ROPELINE_TRUSTED_PROXIES", Plain, "none", value_name = "CIDRS";
    /// How a proxy that asks about requests names them: x-forwarded, x-original-url, or prefix for Envoy [default: x-forwarded]
    auth_headers = "ROPELINE_AUTH_HEADERS", Plain, "x-forwarded", value_name = "FAMILY";
    /// How such a proxy is told that a request has to wait: 401, or final for the answer that the fan is to get [default: 401]
    auth_refusal = "ROPELINE_AUTH_REFUSAL", Plain, "401", value_name = "FORM";
    /// Font files (TrueType, OpenType) for letters of printed tickets that Noto Sans and Noto Sans Devanagari do not have, comma-separated, as for Japanese [default: none]
    ticket_fonts = "ROPELINE_TICKET_FONTS", Plain, "none", value_name = "FILES";
    /// Where PDFs of tickets are kept: off, `file:DIRECTORY` or `s3://BUCKET/PREFIX` [default: a directory in the data directory]
    ticket_store = "ROPELINE_TICKET_STORE", Plain, "file:", value_name = "STORE";
    /// The address of a service that speaks S3 other than Amazon's, such as `https://s3.example.org` [default: Amazon's, or `AWS_ENDPOINT_URL_S3`]
    ticket_store_endpoint = "ROPELINE_TICKET_STORE_ENDPOINT", Url, "Amazon's", value_name = "URL";
    /// PEM file of the certificate for passes of Apple Wallet, with Apple's intermediate certificate after it [default: no passes]
    apple_pass_cert = "ROPELINE_APPLE_PASS_CERT", Plain, "no passes", value_name = "FILE";
    /// PEM file of the private key of that certificate
    apple_pass_key = "ROPELINE_APPLE_PASS_KEY", Plain, "none", value_name = "FILE";
    /// Your issuer id of Google Wallet [default: no links to save tickets]
    google_wallet_issuer = "ROPELINE_GOOGLE_WALLET_ISSUER", Plain, "no links", value_name = "NUMBER";
    /// JSON file of the service account of Google Wallet, with its key
    google_wallet_account = "ROPELINE_GOOGLE_WALLET_ACCOUNT", Plain, "none", value_name = "FILE";
    /// Threads that serve the public listener, each with a listener of its own [default: one for each core]
    threads = "ROPELINE_THREADS", Plain, "one for each core", value_name = "COUNT";
    /// Connections at once on the public listener; each takes an open file [default: 16000]
    connections_max = "ROPELINE_CONNECTIONS_MAX", Plain, "16000", value_name = "COUNT";
    /// Of these from one IPv4 address or one IPv6 /64; trusted proxies are not counted [default: 2000]
    connections_per_address_max = "ROPELINE_CONNECTIONS_PER_ADDRESS_MAX", Plain, "2000", value_name = "COUNT";
    /// Live connections of one place on this gateway, as from several tabs [default: 16]
    connections_per_place_max = "ROPELINE_CONNECTIONS_PER_PLACE_MAX", Plain, "16", value_name = "COUNT";
    /// Seconds a connection is kept after an answer; longer than your balancer keeps it [default: 75]
    keepalive_seconds = "ROPELINE_KEEPALIVE_SECONDS", Plain, "75", value_name = "SECONDS";
    /// Seconds after the order to stop in which readiness fails and connections are still taken [default: 5]
    shutdown_delay_seconds = "ROPELINE_SHUTDOWN_DELAY_SECONDS", Plain, "5", value_name = "SECONDS";
    /// How often one customer may look around in the shop: calls a second, and at once after a pause [default: 20/200]
    rate_browse_customer = "ROPELINE_RATE_BROWSE_CUSTOMER", Plain, "20/200", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may look around in the shop: calls a second, and at once after a pause [default: 100/1000]
    rate_browse_address = "ROPELINE_RATE_BROWSE_ADDRESS", Plain, "100/1000", value_name = "RATE/BURST";
    /// How often one customer may hold seats and give them up: calls a second, and at once after a pause [default: 5/50]
    rate_hold_customer = "ROPELINE_RATE_HOLD_CUSTOMER", Plain, "5/50", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may hold seats and give them up: calls a second, and at once after a pause [default: 50/500]
    rate_hold_address = "ROPELINE_RATE_HOLD_ADDRESS", Plain, "50/500", value_name = "RATE/BURST";
    /// How often one customer may start to pay: calls a second, and at once after a pause [default: 2/20]
    rate_pay_customer = "ROPELINE_RATE_PAY_CUSTOMER", Plain, "2/20", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may start to pay: calls a second, and at once after a pause [default: 50/500]
    rate_pay_address = "ROPELINE_RATE_PAY_ADDRESS", Plain, "50/500", value_name = "RATE/BURST";
    /// How often one customer may confirm a purchase: calls a second, and at once after a pause [default: 5/50]
    rate_confirm_customer = "ROPELINE_RATE_CONFIRM_CUSTOMER", Plain, "5/50", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may confirm a purchase: calls a second, and at once after a pause [default: 50/500]
    rate_confirm_address = "ROPELINE_RATE_CONFIRM_ADDRESS", Plain, "50/500", value_name = "RATE/BURST";
    /// How often one customer may ask for a one-time code or a link to a booking: calls a second, and at once after a pause [default: 1/10]
    rate_mails_customer = "ROPELINE_RATE_MAILS_CUSTOMER", Plain, "1/10", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may ask for a one-time code or a link to a booking: calls a second, and at once after a pause [default: 1/60]
    rate_mails_address = "ROPELINE_RATE_MAILS_ADDRESS", Plain, "1/60", value_name = "RATE/BURST";
    /// Payment providers in order of preference, comma-separated, of stripe and razorpay; or simulator alone [default: simulator]
    payment_provider = "ROPELINE_PAYMENT_PROVIDER", Plain, "simulator", value_name = "NAMES";
    /// Stripe's API [default: `https://api.stripe.com`]
    stripe_url = "ROPELINE_STRIPE_URL", Plain, "https://api.stripe.com", value_name = "URL";
    /// Stripe's secret or restricted key, such as `sk_live_…`
    stripe_secret = "ROPELINE_STRIPE_SECRET", Hidden, "none", value_name = "SECRET", hide_env_values = true;
    /// What Stripe signs its webhooks with, such as `whsec_…`; two, comma-separated, while it is exchanged
    stripe_webhook_secret = "ROPELINE_STRIPE_WEBHOOK_SECRET", Hidden, "none", value_name = "SECRETS", hide_env_values = true;
    /// Where customers of Stripe pay: checkout is Stripe's own page, intents is for programs with a page of their own [default: checkout]
    stripe_page = "ROPELINE_STRIPE_PAGE", Plain, "checkout", value_name = "KIND";
    /// Razorpay's API [default: `https://api.razorpay.com`]
    razorpay_url = "ROPELINE_RAZORPAY_URL", Plain, "https://api.razorpay.com", value_name = "URL";
    /// Razorpay's key id and key secret with a colon between them, as `rzp_live_…:…`
    razorpay_secret = "ROPELINE_RAZORPAY_SECRET", Hidden, "none", value_name = "KEY:SECRET", hide_env_values = true;
    /// What Razorpay signs its webhooks with; two, comma-separated, while it is exchanged
    razorpay_webhook_secret = "ROPELINE_RAZORPAY_WEBHOOK_SECRET", Hidden, "none", value_name = "SECRETS", hide_env_values = true;
    /// The endpoint of the provider, if there is one only [default: a private simulator, or the provider's own]
    payment_url = "ROPELINE_PAYMENT_URL", Plain, "a private simulator", value_name = "URL";
    /// The secret key of the provider, if there is one only [default: generated for the private simulator; that of a simulator on its own with a URL]
    payment_secret = "ROPELINE_PAYMENT_SECRET", Hidden, "the simulator's", value_name = "SECRET", hide_env_values = true;
    /// The secrets its webhooks are signed with, comma-separated [default: as of the secret key]
    payment_webhook_secret = "ROPELINE_PAYMENT_WEBHOOK_SECRET", Hidden, "the simulator's", value_name = "SECRET", hide_env_values = true;
    /// Whether fraud is looked for: on or off [default: on]
    fraud = "ROPELINE_FRAUD", Plain, "on", value_name = "ON|OFF";
    /// What signals of fraud count, as high-value=30,declines=10; docs/FRAUD.md has the names [default: see there]
    fraud_points = "ROPELINE_FRAUD_POINTS", Plain, "see docs/FRAUD.md", value_name = "NAMES=NUMBERS";
    /// From which score on something follows, and limits, as challenge=30,review=60,refuse=100,customers-per-card=4; docs/FRAUD.md has the names [default: see there]
    fraud_limits = "ROPELINE_FRAUD_LIMITS", Plain, "see docs/FRAUD.md", value_name = "NAMES=NUMBERS";
    /// From which amount on a purchase of a new customer is of high value, minor units, as EUR=80000,INR=5000000; 0 takes a currency out [default: see docs/FRAUD.md]
    fraud_high_value = "ROPELINE_FRAUD_HIGH_VALUE", Plain, "see docs/FRAUD.md", value_name = "CURRENCIES=AMOUNTS";
    /// Countries whose cards are at home here, comma-separated, as IN,NP; cards of others are a signal [default: all]
    fraud_home_countries = "ROPELINE_FRAUD_HOME_COUNTRIES", Plain, "all", value_name = "COUNTRIES";
    /// Hours after which a purchase in review is approved by itself [default: never]
    review_approve_hours = "ROPELINE_REVIEW_APPROVE_HOURS", Plain, "never", value_name = "HOURS";
    /// Mail server for mail to fans: `smtp://host`, `smtps://user:password@host`, or `smtp://host?tls=required` [default: mail is written to files in the data directory]
    smtp_url = "ROPELINE_SMTP_URL", Url, "mail is written to files in the data directory", value_name = "URL", hide_env_values = true;
    /// Who sends mail to fans, such as `Tickets <tickets@example.org>`; needed with a mail server [default: tickets@localhost, in files]
    mail_from = "ROPELINE_MAIL_FROM", Plain, "tickets@localhost, in files", value_name = "ADDRESS";
    /// Who sells, as invoices and credit notes name it; without it, address and tax number there are none
    invoice_seller = "ROPELINE_INVOICE_SELLER", Plain, "no invoices are made", value_name = "NAME";
    /// Address of the seller, with | between its lines
    invoice_address = "ROPELINE_INVOICE_ADDRESS", Plain, "none", value_name = "LINES";
    /// Number under which the seller pays taxes
    invoice_tax_number = "ROPELINE_INVOICE_TAX_NUMBER", Plain, "none", value_name = "NUMBER";
    /// What the numbers of invoices begin with, such as RL- [default: nothing]
    invoice_prefix = "ROPELINE_INVOICE_PREFIX", Plain, "nothing", value_name = "TEXT";
    /// Redis server that gets every event in a stream, `redis://` or `rediss://` [default: none]
    events_url = "ROPELINE_EVENTS_URL", Url, "no stream of events", value_name = "URL", hide_env_values = true;
    /// The key of that stream [default: ropeline:events]
    events_stream = "ROPELINE_EVENTS_STREAM", Plain, "ropeline:events", value_name = "KEY";
    /// How many events that stream keeps, about [default: 1000000]
    events_length_max = "ROPELINE_EVENTS_LENGTH_MAX", Plain, "1000000", value_name = "COUNT";
    /// After how many days events move into the compressed archive, which gateways of the version before cannot read [default: never]
    events_archive_days = "ROPELINE_EVENTS_ARCHIVE_DAYS", Plain, "never", value_name = "DAYS";
    /// Whether webhooks may go to addresses that are not public, and without TLS: true or false [default: false]
    webhook_private_targets = "ROPELINE_WEBHOOK_PRIVATE_TARGETS", Plain, "false", value_name = "BOOL";
    /// Where text messages to fans are posted, such as `https://sms.example/send` [default: none are sent; files while mail is written to files]
    sms_url = "ROPELINE_SMS_URL", Url, "none are sent", value_name = "URL";
    /// The login of the provider of text messages, `user:password`, or its token
    sms_token = "ROPELINE_SMS_TOKEN", Hidden, "none", value_name = "TOKEN", hide_env_values = true;
    /// Who sends text messages: a number or a name
    sms_from = "ROPELINE_SMS_FROM", Plain, "none", value_name = "SENDER";
    /// The JSON body of a text message, with `{to}`, `{from}`, `{text}` and `{id}` in its texts [default: form fields To, From and Body, as Twilio has them]
    sms_body = "ROPELINE_SMS_BODY", Plain, "form fields To, From and Body", value_name = "JSON";
    /// Origins of push services that are believed beside those of the browsers, comma-separated
    push_origins = "ROPELINE_PUSH_ORIGINS", Plain, "none", value_name = "ORIGINS";
    /// Directory of your own templates of letters to fans, in place of the built-in ones [default: none]
    templates = "ROPELINE_TEMPLATES", Plain, "none", value_name = "DIRECTORY";
    /// What is logged, such as info or gateway=debug [default: info]
    log = "ROPELINE_LOG", Plain, "info", value_name = "FILTER";
    /// How log lines look: text or json [default: text]
    log_format = "ROPELINE_LOG_FORMAT", Plain, "text", value_name = "FORMAT";
    /// Where a line is written for each request of the public listener: off, a file, or - for stdout [default: off]
    access_log = "ROPELINE_ACCESS_LOG", Plain, "off", value_name = "FILE";
    /// How these lines look: combined, the form of Apache and nginx, or json with more in it [default: combined]
    access_log_format = "ROPELINE_ACCESS_LOG_FORMAT", Plain, "combined", value_name = "FORMAT";
}

/// A text that says something.
pub(super) fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// The settings in the file, as far as they can be read.
pub(super) fn read_file(named: Option<&str>, note: &mut impl FnMut(String)) -> Settings {
    let path = Path::new(named.unwrap_or(FILE_DEFAULT));
    let mut note_here = |problem: &dyn fmt::Display| note(format!("{}: {problem}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => match text.parse::<toml::Table>() {
            Ok(table) => Settings::from_table(table, &mut |problem| note_here(&problem)),
            Err(error) => {
                note_here(&error);
                Settings::default()
            }
        },
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Settings::default()
        }
        Err(error) => {
            note_here(&error);
            Settings::default()
        }
    }
}
