//! Puts the process together: servers, stores, rooms, gate, booking core, listeners.
//!
//! Only this module and its submodules know the booking core; for the rest of the gateway it is an
//! upstream.

mod acme_keeper;
mod connections;
mod database;
mod events;
mod listening;
mod mail;
mod origin;
mod payments;
mod pooler;
mod shop;
mod surroundings;
mod tickets;
mod upstreams;
mod usable;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use booking_core::Booking;
use booking_core::config::PaymentConfig;
use contract::pass::PassKeys;
use embedded::Servers;
use embedded::payment_simulator::PaymentSimulator;
use line::policy::care::RateShare;
use line::policy::place::PlaceKeys;
use line::records::durable::DurableRecords;
use line::records::{Admissions, Audit, Database, Rooms};
use line::rooms::RoomSet;
use line::skew::Skew;
use line::store::redis::{RedisAddress, RedisStore};
use line::target::Target;
use line::{Parts, Randomness, UpstreamHealth};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::RequestIds;

use crate::config::{Config, ProxyProtocol};
use crate::edge::client_ip::TrustedProxies;
use crate::edge::connections::ConnectionLimits;
use crate::edge::cores::Cores;
use crate::edge::rate_limit::{RateLimitConfig, RateLimits};
use crate::edge::refused_head::Page;
use crate::edge::serve::{Handover, ServeConfig, serve_all};
use crate::figures::{GatewayReadiness, RoomFigures};
use crate::front::{BesideTls, Front};
use crate::http::cookies::CookieForm;
use crate::kept_keys::Known;
use crate::key_teller::KeyTeller;
use crate::keys::{self, Keys};
use crate::lifecycle::GRACE;
use crate::line_owner::LineOwner;
use crate::ops::auth::Tokens;
use crate::ops::metrics::Metrics;
use crate::ops::{self, OpsState, SeedSource};
use crate::proxy::Proxy;
use crate::public::{PublicParts, PublicSide};
use crate::sealer::Sealer;
use crate::service_manager;
use listening::{Encryption, Listening, OPS, Opened, PUBLIC, PUBLIC_TLS};
use shop::{
    BookingRooms, BookingStock, BookingTurns, InstallationKeys, booking_config, in_process,
    installation_keys, shop_routes, start_booking,
};

pub use surroundings::Surroundings;
pub use tickets::warnings;
pub use usable::usable;
use usable::wanted;

/// How often a gateway without shows checks for one; the first show starts the payment simulator.
const SHOWS_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between rounds of housekeeping.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(5);

/// Child processes, stopped last.
struct Children {
    servers: Option<Servers>,
    simulator: Option<PaymentSimulator>,
}

/// Runs a gateway until it is told to stop.
pub async fn run(config: Config, surroundings: Surroundings) -> Result<()> {
    let keys = Keys::load(&config, &surroundings.randomness)?;
    let listening = Listening::bind(&config)?;
    let mut children = Children {
        servers: None,
        simulator: None,
    };
    let outcome = run_with(&config, &keys, &surroundings, listening, &mut children).await;
    // Stopped last, because other tasks use the servers.
    if let Some(simulator) = children.simulator {
        simulator.stop().await;
    }
    if let Some(servers) = children.servers {
        servers.stop().await;
    }
    outcome
}

/// Brings the schema of the configured database up to date, and starts nothing.
pub async fn migrate(config: &Config) -> Result<()> {
    let url = config.database_url.as_deref();
    let url = url.context("ROPELINE_DATABASE_URL is not set, so there is nothing to migrate")?;
    database::prepare(url).await?;
    tracing::info!("the schema of the database is up to date");
    Ok(())
}

async fn run_with(
    config: &Config,
    keys: &Keys,
    surroundings: &Surroundings,
    listening: Listening,
    children: &mut Children,
) -> Result<()> {
    let encryption = Encryption::of(config)?;
    let beside_tls = acme_keeper::beside_tls(config, encryption.redirects.clone());
    let urls = listening.urls(config);
    let own_url = urls.tls.as_ref().unwrap_or(&urls.listen);
    let public_url = config.public_url.as_ref().unwrap_or(own_url);
    start_servers(config, children).await?;
    let (payments, simulator) = payments::prepare(config, keys, &urls.listen)?;
    children.simulator = simulator;
    let known = Known {
        gateway: surroundings.randomness.uuid(),
        name: listening.name(),
    };
    let built = App::build(
        config,
        keys,
        surroundings,
        known,
        (public_url, beside_tls),
        payments,
        children,
    );
    let app = tokio::select! {
        app = built => app?,
        // Stop may come while the start still waits for a server.
        () = surroundings.stop.cancelled() => return Ok(()),
    };
    // Nothing is left that could fail: from here on the gateway takes connections.
    let opened = listening.listen()?;
    let ops_certificate = config.ops_tls.as_ref().map(|files| &files.cert);
    let ops_certificate = ops_certificate.map(std::path::absolute).transpose()?;
    let of_ops = (urls.ops.as_str(), ops_certificate.as_deref());
    keys::announce(&config.data_dir, public_url, &urls.listen, of_ops)?;
    tracing::info!(
        public_url,
        listen_url = urls.listen,
        tls_url = urls.tls,
        ops_url = urls.ops,
        "listening"
    );
    if let Some(room) = &app.before_site {
        room.tell(public_url);
    }
    service_manager::started();
    acme_keeper::start(config, surroundings, &app.tasks)?;
    app.serve(opened, encryption, children).await
}

async fn start_servers(config: &Config, children: &mut Children) -> Result<()> {
    let want = wanted(config);
    if want.redis || want.postgres {
        let servers = Servers::start(&config.data_dir.join("servers"), want).await;
        children.servers = Some(servers.context("could not start the private servers")?);
    }
    Ok(())
}

/// A gateway, ready to run.
pub struct App {
    public: Front,
    refusal_page: Page,
    ops: Router,
    limits: RateLimits,
    metrics: Metrics,
    draining: CancellationToken,
    request_ids: RequestIds,
    connections: ConnectionLimits,
    /// Whose PROXY headers connections to the public listener begin with.
    proxies_tell: Option<TrustedProxies>,
    threads: NonZeroUsize,
    keepalive: Duration,
    proxy: Arc<Proxy>,
    booking: Booking,
    key_teller: KeyTeller,
    /// The room of the site that was named on the command line.
    before_site: Option<origin::Settled>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A counter of requests from a random start.
fn request_ids(surroundings: &Surroundings) -> RequestIds {
    RequestIds::new(u64::from_be_bytes(surroundings.randomness.bytes()))
}

/// Cookies of a shop whose pages are reached at `public_url`.
fn cookies_at(public_url: &str) -> CookieForm {
    CookieForm {
        is_secure: public_url.starts_with("https://"),
    }
}

/// What the operators' listener shows of rooms.
fn figures(rooms: &RoomSet, proxy: &Arc<Proxy>) -> Arc<RoomFigures> {
    Arc::new(RoomFigures {
        rooms: rooms.clone(),
        proxy: proxy.clone(),
    })
}

/// What tells whether this gateway can serve.
fn readiness(
    line: LineOwner,
    rooms: &RoomSet,
    database: Database,
    key_teller: &KeyTeller,
    booking: &Booking,
    surroundings: &Surroundings,
) -> Arc<GatewayReadiness> {
    Arc::new(GatewayReadiness {
        line,
        rooms: rooms.clone(),
        database,
        keys: key_teller.advice(),
        mail: mail::advice(booking),
        draining: surroundings.draining.clone(),
    })
}

impl App {
    async fn build(
        config: &Config,
        keys: &Keys,
        surroundings: &Surroundings,
        known: Known,
        (public_url, beside_tls): (&str, BesideTls),
        payments: Vec<PaymentConfig>,
        children: &Children,
    ) -> Result<Self> {
        let (database_url, store) = reached(config, children)?;
        let tasks = TaskTracker::new();
        let pool = database::open(&database_url, &known.gateway.to_string()).await?;
        let kept = installation_keys(&pool, &known, config, keys, surroundings).await?;
        let (pass_keys, place_keys) = line_keys(config, keys, &kept, public_url)?;
        let line = LineOwner::claim(store.clone(), kept.installation).await?;
        let database = Database::new(pool.clone(), tasks.clone());
        let booking_rooms = BookingRooms::new(Rooms::new(database.clone()));
        let booking = start_booking(
            booking_config(kept.tickets, public_url, payments, config)?,
            surroundings,
            &database_url,
            booking_rooms.clone(),
            events::sinks(config).map_err(|problem| anyhow!(problem))?,
            &tasks,
        )
        .await?;
        let proxy = upstreams::proxy(config, surroundings, &kept.place);
        let room_records = Rooms::new(database.clone());
        let audit = Audit::new(database.clone());
        let before_site = origin::before_site(config, &room_records, &audit, surroundings).await?;
        let admissions = Admissions::new(database.clone());
        let parts = Arc::new(Parts {
            durable: durable(&room_records, &admissions, &database),
            pass_keys: Arc::new(pass_keys),
            place_keys: Arc::new(place_keys),
            clock: surroundings.clock.clone(),
            skew: skew(&store, surroundings, &tasks),
            store: Arc::new(store),
            randomness: surroundings.randomness.clone(),
            stock: Arc::new(BookingStock(booking.clone())),
            upstreams: ProxyHealth::of(&proxy, &booking),
            process: known.gateway,
            tasks: tasks.clone(),
            stop: surroundings.stop.clone(),
        });
        let sealer = Sealer::new(&parts.place_keys, parts.randomness.clone());
        let signing = keys.signing.clone();
        let key_teller = KeyTeller::new(pool, known, signing, parts.clone(), kept.signer);
        let ids = request_ids(surroundings);
        let public = PublicSide::start(PublicParts {
            parts,
            records: room_records.clone(),
            proxy: proxy.clone(),
            embedded: in_process(&booking),
            public_url: public_url.to_owned(),
            cookies: cookies_at(public_url),
            limits: RateLimitConfig::default(),
            connections_per_place_max: config.connections_per_place_max,
            trusted_proxies: trusted_proxies(config),
            questions: config.questions,
            beside_tls,
            page_policy: page_policy(&booking),
            request_ids: ids.clone(),
            access_log: surroundings.access_log.clone(),
            turns: Arc::new(BookingTurns(booking.clone())),
        })
        .await
        .context("could not read the rooms")?;
        let rooms = public.rooms;
        booking_rooms.work_in(&rooms);
        let figures = figures(&rooms, &proxy);
        let ops = OpsState {
            rooms: room_records,
            admissions,
            audit: Audit::new(database.clone()),
            clock: surroundings.clock.clone(),
            tokens: Tokens::admin(keys.admin_token.clone()),
            figures: figures.clone(),
            sessions: figures.clone(),
            readiness: readiness(line, &rooms, database, &key_teller, &booking, surroundings),
            metrics: surroundings.metrics.clone(),
            changes: figures,
            tasks: tasks.clone(),
            sealer,
            seeds: seeds(surroundings.randomness.clone()),
        };
        Ok(Self {
            public: public.front,
            refusal_page: public.refusal_page,
            ops: ops::router(ops, shop_routes(&booking), ids.clone()),
            limits: public.limits,
            metrics: surroundings.metrics.clone(),
            draining: surroundings.draining.clone(),
            request_ids: ids,
            connections: connection_limits(config),
            proxies_tell: proxies_tell(config),
            threads: config.threads,
            keepalive: config.keepalive,
            proxy,
            booking,
            key_teller,
            before_site,
            tasks,
            stop: surroundings.stop.clone(),
        })
    }

    async fn serve(
        self,
        opened: Opened,
        mut encryption: Encryption,
        children: &mut Children,
    ) -> Result<()> {
        let stop = &self.stop;
        self.tasks.spawn(housekeeping(
            self.limits.clone(),
            self.metrics.clone(),
            stop.clone(),
        ));
        encryption.keep(&self.tasks, stop);
        let grace = GRACE.saturating_sub(Duration::from_secs(5));
        let serving = |name, sockets: &Vec<_>, tls| ServeConfig {
            handover: Some(Handover {
                draining: self.draining.clone(),
                sockets: sockets.len(),
            }),
            grace,
            tls,
            ..ServeConfig::public(name, self.request_ids.clone())
        };
        let public = |name, sockets, tls| ServeConfig {
            keepalive: self.keepalive,
            connections: self.connections.clone(),
            refusal_page: Some(self.refusal_page.clone()),
            proxy_protocol: self.proxies_tell.clone(),
            ..serving(name, sockets, tls)
        };
        let ops = serving(OPS, &opened.ops, encryption.ops);
        let plain = public(PUBLIC, &opened.public, None);
        let encrypted = public(PUBLIC_TLS, &opened.tls, encryption.public);
        let listeners = vec![(opened.public, plain), (opened.tls, encrypted)];
        let cores = Cores::start(self.threads).context("no thread for a core")?;
        let public = cores.serve(listeners, &self.public, stop);
        let mut public = self.tasks.spawn(public);
        // Cancelled last, so that readiness and metrics are served while the other tasks drain.
        let ops_stop = CancellationToken::new();
        // What drains may still sign and publish keys.
        self.tasks.spawn(self.key_teller.run(ops_stop.clone()));
        self.tasks
            .spawn(service_manager::keep_alive(ops_stop.clone(), cores.pulse()));
        let mut ops = self
            .tasks
            .spawn(serve_all(opened.ops, self.ops, ops, ops_stop.clone()));
        let outcome = tokio::select! {
            // `stop` is polled first, because it also ends the listeners, which is then not an
            // error.
            biased;
            () = stop.cancelled() => Ok(()),
            exhausted = supervise(children, &self.booking) => Err(anyhow!(exhausted)),
            ended = &mut public => Err(anyhow!("the public listener ended: {ended:?}")),
            ended = &mut ops => Err(anyhow!("the operators' listener ended: {ended:?}")),
        };
        // The router holds a handle of the booking core too.
        drop((self.booking, self.public));
        self.draining.cancel();
        stop.cancel();
        self.proxy.shutdown().await;
        self.tasks.close();
        let drained = tokio::time::timeout(GRACE, async {
            // The public listener may have ended first; a finished task must not be awaited again.
            if !public.is_finished() {
                let _ended = public.await;
            }
            ops_stop.cancel();
            if !ops.is_finished() {
                let _ended = ops.await;
            }
            // The writer of a show ends when its last handle is dropped.
            self.tasks.wait().await;
        });
        if drained.await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "gave up waiting for unfinished work"
            );
        }
        // Last, because connections to the stores may be driven by these runtimes.
        cores.end().await;
        outcome
    }
}

fn seeds(randomness: Randomness) -> SeedSource {
    Arc::new(move || randomness.bytes())
}

/// Measures in the background how far this process's clock differs from the store's.
fn skew(store: &RedisStore, surroundings: &Surroundings, tasks: &TaskTracker) -> Arc<Skew> {
    let clock = surroundings.clock.clone();
    let skew = Arc::new(Skew::new(Arc::new(store.clone()), clock));
    tasks.spawn(skew.clone().run(surroundings.stop.clone()));
    skew
}

fn durable(rooms: &Rooms, admissions: &Admissions, database: &Database) -> Arc<DurableRecords> {
    Arc::new(DurableRecords {
        rooms: rooms.clone(),
        admissions: admissions.clone(),
        audit: Audit::new(database.clone()),
    })
}

/// The content policy of pages that may lead to the providers' own.
fn page_policy(booking: &Booking) -> Arc<str> {
    pages::content_security_policy(booking.payment_page_origins().as_deref()).into()
}

/// The proxies that tell addresses by the PROXY protocol, where it is spoken.
fn proxies_tell(config: &Config) -> Option<TrustedProxies> {
    let speaks = config.proxy_protocol == ProxyProtocol::V1V2;
    speaks.then(|| trusted_proxies(config))
}

fn trusted_proxies(config: &Config) -> TrustedProxies {
    TrustedProxies::new(config.trusted_proxies.iter().copied())
}

fn connection_limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        total_max: config.connections_max,
        per_address_max: config.connections_per_address_max,
        trusted: trusted_proxies(config),
        ..ConnectionLimits::default()
    }
}

/// Keeps child processes running. Returns only when a private server has failed too often. The
/// simulator never ends the process: only payments need it, and they report that it does not
/// answer.
async fn supervise(children: &mut Children, booking: &Booking) -> String {
    let servers = async {
        match &mut children.servers {
            Some(servers) => servers.supervise().await.to_string(),
            None => std::future::pending().await,
        }
    };
    let simulator = async {
        match &mut children.simulator {
            Some(simulator) => {
                until_something_is_sold(booking).await;
                match simulator.keep_running().await {}
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        exhausted = servers => exhausted,
        never = simulator => never,
    }
}

/// Returns once any gateway has imported a show.
async fn until_something_is_sold(booking: &Booking) {
    loop {
        // While the database does not answer, there is nothing to sell either.
        if booking.has_shows().await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(SHOWS_LOOK_EVERY).await;
    }
}

/// The database's URL and the store: the configured ones, otherwise the private ones.
fn reached(config: &Config, children: &Children) -> Result<(String, RedisStore)> {
    let private = |url: fn(&Servers) -> Option<String>| children.servers.as_ref().and_then(url);
    let url = |configured: &Option<String>, of_servers| {
        configured.clone().or_else(|| private(of_servers))
    };
    let database_url = url(&config.database_url, Servers::database_url);
    let database_url = database_url.context("no database")?;
    let redis_url = url(&config.redis_url, Servers::redis_url).context("no Redis")?;
    let redis = RedisAddress::read(&redis_url, config.roots.as_ref())?;
    let store = RedisStore::new(&redis, "").context("ROPELINE_REDIS_URL cannot be used")?;
    Ok((database_url, store))
}

/// Installs the recorder for the metrics of the process, including the booking core's.
pub fn metrics() -> Result<Metrics> {
    Metrics::install(booking_core::metric_families())
}

/// The keys of passes and places, which sign with the key that the installation signs with.
fn line_keys(
    config: &Config,
    keys: &Keys,
    kept: &InstallationKeys,
    public_url: &str,
) -> Result<(PassKeys, PlaceKeys)> {
    let issuer = config
        .issuer
        .clone()
        .unwrap_or_else(|| public_url.to_owned());
    let pass_keys = PassKeys::new(issuer, keys.signing.copies()?)?;
    let place_keys = PlaceKeys::new(keys.signing.all(), kept.place);
    pass_keys.sign_with(&kept.signer);
    place_keys.sign_with(&kept.signer);
    Ok((pass_keys, place_keys))
}

async fn housekeeping(limits: RateLimits, metrics: Metrics, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        limits.forget_idle_once();
        metrics.run_upkeep();
    }
}

/// How upstreams do, for the calls of the line.
struct ProxyHealth {
    proxy: Arc<Proxy>,
    booking: Booking,
}

impl ProxyHealth {
    fn of(proxy: &Arc<Proxy>, booking: &Booking) -> Arc<Self> {
        Arc::new(Self {
            proxy: proxy.clone(),
            booking: booking.clone(),
        })
    }
}

impl UpstreamHealth for ProxyHealth {
    fn rate_share(&self, target: &Target) -> RateShare {
        // Nobody is called to a shop in which nobody can pay.
        if *target == Target::Embedded && self.booking.payments_have_stopped() {
            return RateShare::NONE;
        }
        self.proxy.rate_share(target)
    }
}
