//! A disk that fails on demand: `shim.c`, compiled, loaded into the program and told what to do.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::desk::Desk;

/// The calls that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Open,
    Read,
    Write,
    Sync,
    Truncate,
    /// Names are given and taken away.
    Name,
    All,
}

/// How they fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Eio,
    Enospc,
    Edquot,
    Erofs,
    /// Half is done; a write that goes on finds no room.
    Short,
}

/// What fails from now on: of the calls of a class that can fail in this way, `length` ones from the `from`-th on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) class: Class,
    pub(crate) kind: Kind,
    pub(crate) from: u64,
    /// 0: until the rule is taken away.
    pub(crate) length: u64,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, kind) = (format!("{:?}", self.class).to_lowercase(), format!("{:?}", self.kind).to_lowercase());
        write!(f, "{class} {kind} {} {}", self.from, self.length)
    }
}

/// What the disk has seen since the rule was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Calls that the rule is about.
    pub(crate) counted: u64,
    /// Those that failed, e.g. `eio pwrite passbook.db-wal`.
    pub(crate) failed: Vec<String>,
}

/// See the module.
pub(crate) struct Disk {
    control: PathBuf,
    watched: PathBuf,
    shim: PathBuf,
    serial: Cell<u64>,
}

impl Disk {
    /// The disk on which a desk's store lies. It works.
    pub(crate) fn under(desk: &Desk) -> Self {
        let control = desk.dir.path().join("control");
        fs::create_dir(&control).expect("a directory");
        let shim = control.join("shim.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/disks/shim.c");
        let mut compile = Command::new("cc");
        compile.args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", source, "-ldl", "-lpthread", "-o"]);
        assert!(compile.arg(&shim).status().expect("a C compiler, as SQLite needs").success(), "the shim compiles");
        let watched = desk.store().parent().expect("a directory").to_owned();
        Self { control, watched, shim, serial: Cell::new(0) }
    }

    /// Has a program use this disk.
    pub(crate) fn holds(&self, program: &mut Command) {
        program.env("LD_PRELOAD", &self.shim).env("DISKS_WATCHED", &self.watched).env("DISKS_CONTROL", &self.control);
    }

    /// Makes it fail from now on.
    pub(crate) fn fails(&self, rule: Rule) {
        self.serial.set(self.serial.get() + 1);
        self.put(&format!("{} {rule}\n", self.serial.get()));
    }

    /// Makes it work again.
    pub(crate) fn works(&self) {
        self.put("works\n");
    }

    /// As one step, because programs read it meanwhile.
    fn put(&self, line: &str) {
        let draft = self.control.join("rule.new");
        fs::write(&draft, line).expect("writes");
        fs::rename(draft, self.control.join("rule")).expect("renames");
    }

    /// What became of the last rule.
    pub(crate) fn seen(&self) -> Seen {
        let bytes = fs::read(self.control.join("seen")).expect("the shim was loaded");
        let number = |at: usize| u64::from_ne_bytes(bytes[at * 8..][..8].try_into().expect("eight bytes"));
        if number(0) != self.serial.get() {
            return Seen::default();
        }
        let log = fs::read_to_string(self.control.join("failed")).unwrap_or_default();
        let serial = format!("{} ", self.serial.get());
        let failed: Vec<_> = log.lines().filter_map(|line| line.strip_prefix(&serial)).map(str::to_owned).collect();
        Seen { counted: number(1), failed }
    }
}
