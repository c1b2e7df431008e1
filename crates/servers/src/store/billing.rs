/// Whether servers that cost something have to be paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// Nobody pays.
    Off,
    /// Owners pay every hour.
    On,
}
