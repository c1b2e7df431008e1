//! Promises that every kind of host keeps, as tests. A kind of host implements [`Stage`] in its tests, and calls
//! [`promises!`].
//!
//! - `stage`: what only the kind knows, and orders
//! - `orders`: promises about orders: once, in their order, by many processes
//! - `ends`: promises about the ends of runs
//! - `abilities`: promises about that in which kinds differ

mod abilities;
mod ends;
mod orders;
mod stage;

pub use abilities::*;
pub use ends::*;
pub use orders::*;
pub use stage::{Behaviour, Stage};

/// Makes a test of every promise, each on a stage of its own. `$stage` is an expression that is awaited.
#[macro_export]
macro_rules! promises {
    ($stage:expr) => {
        $crate::promises!($stage;
            same_order_twice_is_done_once, lower_generation_is_refused, fence_needs_no_server, stop_interrupts_start,
            processes_start_one_server, next_process_adopts_what_runs, deletion_frees_the_server,
            unready_server_is_taken_down, killed_run_has_ended_with_a_reason, good_end_is_no_crash,
            clearing_spares_other_generations, every_ability_is_declared
        );
    };
    ($stage:expr; $($promise:ident),*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::$promise(&$stage.await).await;
            }
        )*
    };
}
