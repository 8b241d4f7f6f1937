// SPDX-License-Identifier: Apache-2.0
//! Leaves arguments out before others that come by place: prints them. test_generate.py makes the client, and runs this.
#[allow(dead_code)]
mod client;
use client::{Gaps, GapsNumberOptions, GapsUnshownOptions, GapsValuesOptions, Mismatch, Transport, Value};
use std::collections::BTreeMap;

struct Shows;

impl Transport for Shows {
    type Error = Mismatch;

    fn call(&self, _: &str, args: Vec<Value>, _: BTreeMap<String, Value>) -> Result<Value, Mismatch> {
        Err(Mismatch(format!("{:?}", args)))
    }

    fn stream<'a>(
        &'a self,
        _: &str,
        args: Vec<Value>,
        _: BTreeMap<String, Value>,
    ) -> Result<Box<dyn Iterator<Item = Result<Value, Mismatch>> + 'a>, Mismatch> {
        Err(Mismatch(format!("{:?}", args)))
    }

    fn create(&self, _: Vec<(String, Value)>) -> Result<(), Mismatch> {
        Ok(())
    }
}

fn main() {
    let gaps = Gaps::new(Shows);
    let rest = vec![1, 2];
    println!("{}", gaps.number(5, GapsNumberOptions { rest: rest.clone(), ..Default::default() }).unwrap_err());
    println!("{}", gaps.values(GapsValuesOptions { rest: rest.clone(), ..Default::default() }).unwrap_err());
    println!("{}", gaps.unshown(GapsUnshownOptions { rest, ..Default::default() }).unwrap_err());
}
