//! Asks over UDP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::QueryError;

/// Maximum size of a datagram.
const DATAGRAM: usize = 64 * 1024;
/// Maximum number of datagrams that are looked at for one answer.
const DATAGRAMS: usize = 64;

/// Socket that hears one address alone: the kernel drops what others send.
pub(crate) struct Udp {
    socket: UdpSocket,
    buffer: Vec<u8>,
}

impl Udp {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, QueryError> {
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(address).await?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM] })
    }

    pub(crate) async fn send(&self, request: &[u8]) -> Result<(), QueryError> {
        self.socket.send(request).await?;
        Ok(())
    }

    /// Waits for the next datagram.
    pub(crate) async fn receive(&mut self) -> Result<&[u8], QueryError> {
        let length = self.socket.recv(&mut self.buffer).await?;
        Ok(&self.buffer[..length])
    }

    /// Sends a request, and waits for its answer. `read` returns `None` for a datagram that answers something else, such as
    /// one under a forged address.
    pub(crate) async fn ask<T>(
        &mut self,
        request: &[u8],
        read: impl Fn(&[u8]) -> Option<Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        self.send(request).await?;
        for _ in 0..DATAGRAMS {
            if let Some(answer) = read(self.receive().await?) {
                return answer;
            }
        }
        Err(QueryError::Malformed("it answers something else"))
    }
}
