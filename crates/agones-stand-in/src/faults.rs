//! Answers that do not come as they should.

use crate::Cluster;

/// Fault of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request gets this status, and nothing is done. 429 and 503 come with `Retry-After: 1`.
    Status(u16),
    /// The request gets no answer, and nothing is done, until the fault is over; then the connection is cut.
    Hang,
    /// The connection is cut, and nothing is done.
    Cut,
    /// The request is done, and the connection is cut before the answer.
    LoseReply,
}

#[derive(Debug)]
pub(crate) struct Order {
    route: String,
    /// `None`: until it is taken back.
    left: Option<u32>,
    fault: Fault,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    orders: Vec<Order>,
    /// How often all was well again: what hangs waits for the next time.
    pub(crate) recoveries: u64,
}

impl Faults {
    /// Returns the fault of a request, such as `GET /api/v1/…?watch=true`: the newest order that fits.
    pub(crate) fn meet(&mut self, request: &str) -> Option<Fault> {
        let fits = |order: &&mut Order| order.left != Some(0) && request.contains(&order.route);
        let order = self.orders.iter_mut().rev().find(fits)?;
        order.left = order.left.map(|left| left - 1);
        Some(order.fault)
    }
}

impl Cluster {
    /// Requests whose method, path and query (`GET /api/v1/namespaces/agones-dev/pods?watch=true`) contain `route` meet
    /// a fault until [`recover`](Self::recover). An empty route is all of them. Watches that are open stay open:
    /// [`drop_watches`](Self::drop_watches) ends those too.
    pub fn fault(&self, route: &str, fault: Fault) {
        self.order(route, None, fault);
    }

    /// The next `times` such requests meet a fault.
    pub fn fault_next(&self, route: &str, times: u32, fault: Fault) {
        self.order(route, Some(times), fault);
    }

    /// All is well again, for requests that come now.
    pub fn recover(&self) {
        self.hub.change(|world| {
            world.faults.orders.clear();
            world.faults.recoveries += 1;
        });
    }

    /// Nothing can be reached: connections are cut, also those of watches, until [`recover`](Self::recover).
    pub fn outage(&self) {
        self.fault("", Fault::Cut);
        self.drop_watches();
    }

    fn order(&self, route: &str, left: Option<u32>, fault: Fault) {
        let order = Order { route: route.to_owned(), left, fault };
        self.hub.change(|world| world.faults.orders.push(order));
    }
}
