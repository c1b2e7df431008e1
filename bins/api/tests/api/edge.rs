//! Where the server meets the network: web pages, slow clients, what is no HTTP, too many connections.

mod clients;
mod web_pages;
mod wire;
