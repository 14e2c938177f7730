//! Integration tests of the gateway, against real servers and sockets.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without has failed the test"
)]

mod access_log;
mod acme;
mod address_limits;
mod addresses;
mod answers;
mod at_hand;
mod audited_shows;
mod beside;
mod browser;
mod call_batches;
mod cloudflare;
mod cluster;
mod command;
mod cookies;
mod desk;
mod edge;
mod exempt;
mod failovers;
mod gate;
mod gate_lasting;
mod grpc;
mod heads;
mod hoarding;
mod holder;
mod hosts;
mod http2;
mod known_user;
mod last_page;
mod line;
mod live;
mod live_frames;
mod live_streams;
mod loading;
mod mail;
mod metrics;
mod openapi;
mod opening;
mod ops;
mod ops_rooms;
mod origin;
mod outages;
mod overrides;
mod pair;
mod people;
mod place_age;
mod proxy;
mod proxy_protocol;
mod readings;
mod resting;
mod returning;
mod rotation;
mod round_trips;
mod sentinels;
mod service_manager;
mod serving;
mod shares;
mod sites;
mod skew;
mod stand_by;
mod starting;
mod taking_over;
mod telling;
mod test_app;
mod tls;
mod unread_bodies;
mod upstream_care;
mod versions;
mod waiting_page;
