//! A switch that outlives the process that made it, and the next one that takes it over.
//!
//! Dropping a [`Switch`] closes every descriptor that it has, as the end of its process would.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::pipeline::TableDifference;
use pointsman_ebpf::switch::Switch;
use pointsman_ebpf::switch::pins::{PinDirectory, PinError};
use pointsman_ebpf::switch::takeover::Unwanted;
use pointsman_ebpf::sys::{Program, interface_index, xdp_program};
use pointsman_ebpf::tables::owners::Difference;
use pointsman_p4::dataplane::{CounterData, DataPlane, EntryKey, Operation};
use pointsman_p4::vectors::{Case, Commands};

use crate::bed::{CPU_PORT, LOOPBACK, leaf_spine, path, under_traffic, write};
use crate::support::privileged;

const DEVICE: u64 = 7;
/// Those of the path that are counted.
const COUNTED: [&str; 3] = [
    "add ingress_port_vlan ingress_port:1 vlan_id:0 permit_with_internal_vlan(vlan_id:10)",
    "add acl 500 ipv4_dst:0x0a000005 acl.permit()",
    "add simple next_id:20 routing_simple(port:4, src_mac:0x020000000101, dst_mac:0x020000000102)",
];

/// A BPF file system of the test's own, with everything in it.
struct Bpffs(tempfile::TempDir);

impl Bpffs {
    fn new() -> Bpffs {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "bpf", "bpf"]).arg(directory.path());
        assert!(mount.status().unwrap().success());
        Bpffs(directory)
    }

    fn pins(&self) -> Result<PinDirectory, PinError> {
        PinDirectory::open(self.0.path(), DEVICE)
    }

    fn switch(&self, options: Options) -> Switch {
        Switch::pinned(options, self.pins().unwrap()).unwrap()
    }

    /// What is in the directory of the device, however deep.
    fn names(&self) -> Vec<PathBuf> {
        let mut names = Vec::new();
        let mut directories = vec![self.0.path().join(DEVICE.to_string())];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path.clone());
                }
                names.push(path);
            }
        }
        names
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // What is left in it goes with its last mount.
        drop(Command::new("umount").arg(self.0.path()).status());
    }
}

/// A switch whose pipeline forwards by the stable path; these lines are written after it.
fn first_life(bpffs: &Bpffs, case: &Case, options: Options, more: &[String]) -> Switch {
    let mut switch = bpffs.switch(options);
    let shared = switch.shared();
    shared.devmap.set(4, &LOOPBACK.to_ne_bytes()).unwrap();
    shared.ports.set_interface(LOOPBACK, Some(1));
    let plane = switch
        .prepare_next(Arc::clone(&case.pipeline.program))
        .unwrap();
    assert!(!plane.fast().inherits(), "there is nothing to go on with");
    write(case, &plane, &path());
    write(case, &plane, more);
    switch.activate(plane).unwrap();
    switch
}

/// The next process, with these entries; and what was otherwise.
fn next_life(
    bpffs: &Bpffs,
    case: &Case,
    options: Options,
    lines: &[String],
) -> (Switch, Vec<TableDifference>) {
    let mut switch = bpffs.switch(options);
    assert!(switch.found().forwards);
    let program = Arc::clone(&case.pipeline.program);
    let plane = switch.prepare_next(program).unwrap();
    assert!(plane.fast().inherits());
    write(case, &plane, lines);
    let differences = switch.activate(plane).unwrap();
    (switch, differences)
}

/// Other entries of a table whose entries are counted.
fn others() -> Vec<String> {
    let acl = |n: u32| format!("add acl {} ipv4_dst:0x0b00{n:04x} acl.drop()", 1 + n);
    (0..50).map(acl).collect()
}

fn key(case: &Case, line: &str) -> EntryKey {
    let mut commands = Commands::new(&case.pipeline);
    commands.add(line).unwrap();
    match commands.finish().remove(0) {
        Operation::Insert(entry) => entry.key,
        other => panic!("{other:?}"),
    }
}

fn count(case: &Case, switch: &Switch, line: &str) -> CounterData {
    let plane = switch.plane().unwrap();
    plane.direct_counter((&key(case, line)).into()).unwrap()
}

fn loses_nothing(options: Options) {
    let (bpffs, case) = (Bpffs::new(), leaf_spine());
    let mut life = Some(first_life(&bpffs, &case, options, &others()));
    let root: Arc<Program> = Arc::clone(life.as_ref().unwrap().root());
    let (sent, lost) = under_traffic(&root, || {
        for round in 0..5 {
            drop(life.take());
            // Each life has its entries in another order, so in other places.
            let mut lines: Vec<String> = path().into_iter().chain(others()).collect();
            let middle = 7 * (round + 1);
            lines.rotate_left(middle);
            let (next, differences) = next_life(&bpffs, &case, options, &lines);
            assert_eq!(differences, [], "all is as it was");
            life = Some(next);
        }
    });
    println!("{sent} packets, {lost} lost");
    assert!(sent > 100, "there was traffic");
    assert_eq!(lost, 0, "of {sent} packets");
    let life = life.unwrap();
    for line in COUNTED {
        let counted = count(&case, &life, line).packets;
        // One more packet than those under traffic says what to expect of them.
        assert_eq!(counted, sent + 1, "{line}");
    }
    for line in others() {
        assert_eq!(count(&case, &life, &line), CounterData::default(), "{line}");
    }
    let pipelines = bpffs.names();
    let pipelines = pipelines.iter().filter(|path| path.ends_with("cells"));
    assert_eq!(pipelines.count(), 1, "those before it are forgotten");
}

#[test]
fn the_next_process_goes_on_without_losing_a_packet_or_a_count() {
    if privileged() {
        loses_nothing(Options::new(CPU_PORT));
    }
}

#[test]
fn the_next_process_goes_on_with_a_chain_of_programs() {
    if privileged() {
        loses_nothing(Options {
            program_instructions: Some(100),
            ..Options::new(CPU_PORT)
        });
    }
}

#[test]
fn a_batch_before_the_end_of_a_process_leaves_the_other_side_running() {
    if !privileged() {
        return;
    }
    let (bpffs, case) = (Bpffs::new(), leaf_spine());
    let options = Options::new(CPU_PORT);
    let mut life = first_life(&bpffs, &case, options, &[]);
    let root = Arc::clone(life.root());
    let (_, lost) = under_traffic(&root, || {
        for _ in 0..3 {
            let plane = life.plane().unwrap();
            plane
                .atomically(&mut || write(&case, plane, &others()))
                .unwrap();
            drop(life);
            // The batch was cut short before anybody was told.
            let differences;
            (life, differences) = next_life(&bpffs, &case, options, &path());
            let unwanted = differences[0].difference.unwanted;
            assert_eq!(unwanted, others().len(), "{differences:?}");
        }
    });
    assert_eq!(lost, 0);
}

#[test]
fn counts_and_meters_of_another_program_are_not_taken_over() {
    if !privileged() {
        return;
    }
    let (bpffs, case) = (Bpffs::new(), leaf_spine());
    let options = Options::new(CPU_PORT);
    drop(first_life(&bpffs, &case, options, &[]));
    let mut program = (*case.pipeline.program).clone();
    program.counters[0].name += "_of_another_program";
    program.tables[0].size *= 2;
    let mut switch = bpffs.switch(options);
    let plane = switch.prepare_next(Arc::new(program)).unwrap();
    assert!(!plane.fast().inherits());
    switch.activate(plane).unwrap();
}

#[test]
fn what_ran_otherwise_than_it_should_is_repaired_and_said() {
    if !privileged() {
        return;
    }
    let (bpffs, case) = (Bpffs::new(), leaf_spine());
    let options = Options::new(CPU_PORT);
    let acl = |n: u32, action: &str| format!("add acl {n} ipv4_dst:0x0b000000 acl.{action}()");
    let ran = [
        acl(1, "drop"),
        acl(2, "drop"),
        acl(3, "drop"),
        acl(4, "drop"),
    ];
    drop(first_life(&bpffs, &case, options, &ran));
    let mut switch = bpffs.switch(options);
    let program = Arc::clone(&case.pipeline.program);
    let plane = switch.prepare_next(program).unwrap();
    write(&case, &plane, &path());
    // 1 stays, 2 did something else, 3 and 4 are gone, and 5 is new.
    write(
        &case,
        &plane,
        &[acl(1, "drop"), acl(2, "permit"), acl(5, "drop")],
    );
    // What comes and goes while it is filled is not there at the end.
    let passing = [acl(4, "drop"), acl(6, "drop")];
    write(&case, &plane, &passing);
    for line in &passing {
        plane.delete(&key(&case, line)).unwrap();
    }
    let differences = switch.activate(plane).unwrap();
    let expected = Difference {
        unwanted: 2,
        missing: 1,
        other: 1,
    };
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].table.ends_with("acl"), "{differences:?}");
    assert_eq!(differences[0].difference, expected);
}

/// A pair of interfaces, both up.
struct Veth(String);

impl Veth {
    fn new() -> Veth {
        let veth = Veth(format!("tko{}", std::process::id()));
        let (name, peer) = (veth.0.as_str(), format!("{}p", veth.0));
        ip(&["link", "add", name, "type", "veth", "peer", "name", &peer]);
        ip(&["link", "set", name, "up"]);
        ip(&["link", "set", &peer, "up"]);
        veth
    }

    fn index(&self) -> u32 {
        interface_index(&self.0).unwrap()
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        let delete = ["link", "del", &self.0];
        drop(Command::new("ip").args(delete).status());
    }
}

fn ip(arguments: &[&str]) {
    assert!(
        Command::new("ip")
            .args(arguments)
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn an_agent_of_another_version_takes_over_the_links_and_settles_what_is_a_port() {
    if !privileged() {
        return;
    }
    let (bpffs, case, veth) = (Bpffs::new(), leaf_spine(), Veth::new());
    let options = Options::new(CPU_PORT);
    let mut old = first_life(&bpffs, &case, options, &[]);
    old.attach(3, &veth.0).unwrap();
    let old_root = old.root().id().unwrap();
    drop(old);
    let running = |veth: &Veth| xdp_program(veth.index()).map(|(program, _)| program);
    assert_eq!(running(&veth), Some(old_root), "it outlives the process");
    // As if the maps that are there were those of another version.
    let device = bpffs.0.path().join(DEVICE.to_string());
    std::fs::rename(device.join("layout_2"), device.join("layout_99")).unwrap();

    let mut new = bpffs.switch(options);
    let found = new.found();
    let port = BTreeMap::from([(3, veth.index())]);
    assert_eq!((found.ports, found.forwards), (port.clone(), false));
    let program = Arc::clone(&case.pipeline.program);
    let plane = new.prepare_next(program).unwrap();
    new.activate(plane).unwrap();
    assert_eq!(
        running(&veth),
        Some(old_root),
        "until there is more than a program"
    );
    assert_eq!(new.settle(&port).unwrap(), []);
    let new_root = new.root().id().unwrap();
    assert_ne!(new_root, old_root);
    assert_eq!(running(&veth), Some(new_root));
    assert!(!device.join("layout_99").exists());
    drop(new);

    // The next one finds what it would make itself, and touches no link.
    let mut same = bpffs.switch(options);
    assert_eq!(same.root().id().unwrap(), new_root);
    let interface = veth.index();
    let unwanted = same.settle(&BTreeMap::new()).unwrap();
    let expected = [Unwanted::Port { port: 3, interface }, Unwanted::Pipeline];
    assert_eq!(unwanted, expected);
    assert_eq!(running(&veth), None);
}

#[test]
fn a_device_has_one_agent_at_a_time() {
    if !privileged() {
        return;
    }
    let bpffs = Bpffs::new();
    let first = bpffs.pins().unwrap();
    let error = bpffs.pins().unwrap_err();
    assert!(matches!(error, PinError::InUse { .. }), "{error}");
    assert!(PinDirectory::open(bpffs.0.path(), DEVICE + 1).is_ok());
    drop(first);
    assert!(bpffs.pins().is_ok());
}

#[test]
fn without_a_bpf_file_system_it_is_said_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let error = PinDirectory::open(&directory.path().join("deeper"), DEVICE).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("mount -t bpf bpf /"), "{error}");
}

#[test]
fn a_start_that_ended_halfway_is_begun_anew_and_all_is_taken_down_on_demand() {
    if !privileged() {
        return;
    }
    let (bpffs, case) = (Bpffs::new(), leaf_spine());
    let options = Options::new(CPU_PORT);
    drop(first_life(&bpffs, &case, options, &[]));
    // The way into the pipeline gets its name last.
    let root = bpffs.names().into_iter().find(|p| p.ends_with("root"));
    std::fs::remove_file(root.unwrap()).unwrap();
    let switch = bpffs.switch(options);
    assert!(!switch.found().forwards);
    drop(switch);
    let removed = bpffs.pins().unwrap().remove_all().unwrap();
    assert_eq!(removed.ports, 0);
    assert_eq!(bpffs.names(), Vec::<PathBuf>::new());
}
