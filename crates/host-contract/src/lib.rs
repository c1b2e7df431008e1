//! Promises that every kind of host keeps, as tests. A kind of host implements [`Stage`] in its tests, and calls
//! [`promises!`].
//!
//! - `stage`: what only the kind knows, and orders
//! - `orders`: promises about orders: once, in their order, by many processes
//! - `ends`: promises about the ends of runs
//! - `consoles`, `worlds`: promises about lines, commands and files, of hosts that have them

mod consoles;
mod ends;
mod orders;
mod stage;
mod worlds;

pub use consoles::*;
pub use ends::*;
pub use orders::*;
pub use stage::{Behaviour, Stage};
pub use worlds::*;

/// Makes a test of every promise, each on a stage of its own. `$stage` is an expression that is awaited. Where a stage
/// stands on something dear, `$ground = …;` before it makes that once, and one test has every promise.
#[macro_export]
macro_rules! promises {
    ($($stage:tt)*) => {
        $crate::promises_of!([$($stage)*];
            same_order_twice_is_done_once, lower_generation_is_refused, fence_needs_no_server, stop_interrupts_start,
            processes_start_one_server, next_process_adopts_what_runs, deletion_frees_the_server,
            unready_server_is_taken_down, killed_run_has_ended_with_a_reason, good_end_is_no_crash,
            clearing_spares_other_generations, console_gives_each_line_once, commands_reach_a_run_alone,
            world_outlives_runs_and_is_kept
        );
    };
}

/// See [`promises!`].
#[macro_export]
macro_rules! promises_of {
    ([$ground:ident = $made:expr; $stage:expr]; $($promise:ident),*) => {
        #[tokio::test]
        async fn every_promise_is_kept() {
            let $ground = $made;
            $(
                eprintln!(stringify!($promise));
                Box::pin($crate::$promise(&$stage.await)).await;
            )*
        }
    };
    ([$stage:expr]; $($promise:ident),*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::$promise(&$stage.await).await;
            }
        )*
    };
}
