//! The edge of the network: web pages, slow clients, requests that are no HTTP, too many connections.

mod clients;
mod web_pages;
mod wire;
