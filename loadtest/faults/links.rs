//! The network between gateways and their servers: a proxy for each pair, which leads to the
//! server that is the right one now, and can be cut and slowed down.

use std::time::Duration;

use test_support::tcp_proxy::{Line, TcpProxy};

use crate::timetable::{Cut, Fault, GATEWAYS, Server};

/// The ways from all gateways to one server.
pub(crate) struct Links {
    redis: Vec<TcpProxy>,
    postgres: Vec<TcpProxy>,
}

impl Links {
    /// Ways to the servers at `redis` and `postgres`, each a host and port.
    pub(crate) async fn start(redis: &str, postgres: &str) -> Self {
        Self {
            redis: to(redis).await,
            postgres: to(postgres).await,
        }
    }

    fn of(&self, server: Server) -> &[TcpProxy] {
        match server {
            Server::Redis => &self.redis,
            Server::Postgres => &self.postgres,
        }
    }

    /// The way of gateway `number` to `server`, as a host and port.
    pub(crate) fn address(&self, server: Server, number: usize) -> String {
        let proxy = self.of(server).get(number);
        proxy.map_or_else(String::new, |proxy| proxy.address.to_string())
    }

    /// Leads all gateways to another server. Connections there are end, and so does a cut.
    pub(crate) fn retarget(&self, server: Server, target: &str) {
        for proxy in self.of(server) {
            proxy.retarget(target.to_owned());
        }
    }

    /// Lets the network fail as the fault says, and mends it.
    pub(crate) async fn suffer(&self, fault: &Fault) {
        match *fault {
            Fault::NetworkCut {
                gateway,
                server,
                cut,
                lasts,
            } => {
                let line = match cut {
                    Cut::Closed => Line::Cut,
                    Cut::Silent => Line::Silent,
                };
                let proxies = self.of(server).iter().enumerate();
                let cut: Vec<&TcpProxy> = proxies
                    .filter(|(number, _)| gateway.is_none_or(|one| one == *number))
                    .map(|(_, proxy)| proxy)
                    .collect();
                for proxy in &cut {
                    proxy.set(line);
                }
                tokio::time::sleep(lasts).await;
                for proxy in &cut {
                    proxy.set(Line::Up);
                }
            }
            Fault::NetworkSlow { server, lasts } => {
                self.delay(server, Fault::one_way());
                tokio::time::sleep(lasts).await;
                self.delay(server, Duration::ZERO);
            }
            _ => {}
        }
    }

    fn delay(&self, server: Server, one_way: Duration) {
        for proxy in self.of(server) {
            proxy.delay(one_way);
        }
    }
}

async fn to(target: &str) -> Vec<TcpProxy> {
    let mut proxies = Vec::with_capacity(GATEWAYS);
    for _ in 0..GATEWAYS {
        proxies.push(TcpProxy::start(target.to_owned()).await);
    }
    proxies
}
