//! How the program is linked.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Half a megabyte of the program, and of the memory of every agent, are addresses that the loader reads once.
    if loads_packed_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// glibc does from 2.36 on. Whoever builds for older systems builds on one, and gets a program that runs there.
fn loads_packed_relocations() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let here = env::var("HOST").is_ok() && env::var("HOST") == env::var("TARGET");
    if !(here && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu")) {
        return false;
    }
    let Ok(told) = Command::new("ldd").arg("--version").output() else { return false };
    glibc(&String::from_utf8_lossy(&told.stdout)).is_some_and(|version| version >= (2, 36))
}

/// `ldd (GNU libc) 2.36`, and more lines.
fn glibc(told: &str) -> Option<(u32, u32)> {
    let version = told.lines().next()?.split_whitespace().last()?;
    let (major, minor) = version.split_once('.')?;
    let digits = minor.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, digits.parse().ok()?))
}
