//! Tests on a disk without a free byte.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use agis_servers::host::{Host, HostError, Observed, Reached};

use crate::{
    ONE, TWO,
    bench::{Bench, demo, ended, eventually, script, within},
};

/// Disk of its own in memory, which goes with this value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,nr_inodes=5000,mode=0711", "tmpfs"]).arg(dir.path());
        let mounted = mount.status().expect("mount runs");
        assert!(mounted.success(), "this test needs the right to mount a tmpfs: run it as root, as CI does");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes every byte that is free, and every byte that becomes free, until the filler is dropped.
    fn fill(&self) -> Filler {
        let (path, stop, full) =
            (self.path().join("filler"), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (stopped, filled) = (stop.clone(), full.clone());
        let task = thread::spawn(move || {
            let mut file = File::create(&path).expect("a file");
            while !stopped.load(Ordering::Relaxed) {
                let chunk = [1 << 16, 1 << 12, 1].into_iter().find(|size| file.write_all(&vec![1; *size]).is_ok());
                if chunk.is_none() {
                    filled.store(true, Ordering::Relaxed);
                    thread::yield_now();
                }
            }
            fs::remove_file(path).expect("removed");
        });
        while !full.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        Filler { stop, task: Some(task) }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

struct Filler {
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.task.take().map(JoinHandle::join);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_blocks_no_stop_and_no_deletion() {
    let disk = SmallDisk::new();
    let bench = Bench::within(disk.path());
    let host = bench.host();
    for server in [ONE, TWO] {
        bench.start(&host, server, 1, &demo("")).await.expect("it starts");
    }
    let filler = disk.fill();
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, "stopped")), "the reason is kept");
    assert_eq!(bench.stop(&bench.host(), ONE, 1).await, Err(HostError::Stale { seen: 2 }), "the fence is kept");
    assert_eq!(bench.delete(&host, TWO, 2).await, Ok(Reached::Deleted));
    assert_eq!(bench.delete(&host, ONE, 3).await, Ok(Reached::Deleted));
    drop(filler);
    assert_eq!(bench.stop(&host, TWO, 1).await, Err(HostError::Stale { seen: 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn game_becomes_ready_on_a_full_disk() {
    let disk = SmallDisk::new();
    let bench = Bench::within(disk.path());
    let (host, other) = (bench.host(), bench.host());
    let game = script("echo up; exec sleep 1000", "ready = { when = { delay = 2 } }");
    let fill = async {
        eventually(async || matches!(other.observe(ONE).await, Ok(Observed::Starting { generation: 1 }))).await;
        // The shim has written that the game runs.
        eventually(async || !bench.console(ONE).is_empty()).await;
        disk.fill()
    };
    let (started, filler) = tokio::join!(bench.start(&host, ONE, 1, &game), fill);
    started.expect("it is ready");
    assert!(matches!(within(host.observe(ONE)).await, Ok(Observed::Running { generation: 1, .. })));
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    drop(filler);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_a_directory_ends_on_a_full_disk() {
    let disk = SmallDisk::new();
    let bench = Bench::within(disk.path());
    let host = bench.host_with(|config| config.machine.disk_reserve = 1 << 20);
    let filler = disk.fill();
    let refused = bench.start(&host, ONE, 1, &demo("")).await;
    assert!(matches!(&refused, Err(HostError::Failed(why)) if why.contains("(DISK_RESERVE)")), "{refused:?}");
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    assert_eq!(bench.delete(&host, ONE, 3).await, Ok(Reached::Deleted));
    drop(filler);
    bench.start(&host, ONE, 4, &demo("")).await.expect("it starts");
}

#[tokio::test]
async fn start_without_room_for_files_is_refused() {
    let disk = SmallDisk::new();
    let bench = Bench::within(disk.path());
    let host = bench.host();
    let many = disk.path().join("many");
    fs::create_dir(&many).expect("a directory");
    (0..4_500).for_each(|file| fs::write(many.join(file.to_string()), "").expect("an empty file"));
    let refused = bench.start(&host, ONE, 1, &demo("")).await;
    assert!(matches!(&refused, Err(HostError::Failed(why)) if why.contains("room for 4")), "{refused:?}");
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
}

#[tokio::test]
async fn start_below_the_reserve_is_refused() {
    let disk = SmallDisk::new();
    let bench = Bench::within(disk.path());
    let host = bench.host_with(|config| config.machine.disk_reserve = 1 << 30);
    let Err(HostError::Failed(why)) = bench.start(&host, ONE, 1, &demo("")).await else { panic!("it started") };
    assert!(why.contains("MiB left") && why.contains("below 1.0 GiB (DISK_RESERVE)"), "{why}");
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
}

#[tokio::test]
async fn start_of_a_world_above_its_limit_is_refused() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("limits = { disk = '1MiB' }");
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    bench.stop(&host, ONE, 2).await.expect("it stops");
    let map: PathBuf = bench.server(ONE).join("world/map");
    fs::write(&map, vec![1; 2 << 20]).expect("a large world");
    let Err(HostError::Failed(why)) = bench.start(&host, ONE, 3, &game).await else { panic!("it started") };
    assert!(why.contains("more than its limit of 1 MiB"), "{why}");
    fs::remove_file(map).expect("removed");
    bench.start(&host, ONE, 4, &game).await.expect("it starts");
}
