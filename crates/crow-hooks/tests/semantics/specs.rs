//! The contract as data.

use std::time::Duration;

use crow_hooks::{Budget, Contract, Hook, Kind, Visitor};

use crate::contract::Kinds;

#[test]
fn a_contract_lists_its_hooks() {
    let specs = <dyn Kinds as Contract>::SPECS;
    assert_eq!((<dyn Kinds as Contract>::PROJECT, <dyn Kinds as Contract>::API), ("kinds", 3));
    let of = |name: &str| *specs.iter().find(|spec| spec.name == name).unwrap();
    let gather = of("gather");
    assert_eq!(gather.doc, "Collects.");
    assert_eq!(gather.to_string(), "async fn gather(word: &str, log: &mut Vec<String>) -> u32");
    assert_eq!((gather.kind, gather.sync, gather.isolate, gather.budget), (Kind::Collect, false, false, None));
    assert_eq!(of("choose").kind, Kind::FirstResult);
    assert_eq!(of("told").to_string(), "fn told(who: String)");
    assert!(of("observe").isolate);
    assert_eq!(of("limited").budget, Some(Budget::Limited(Duration::from_millis(50))));
    assert_eq!(of("endless").budget, Some(Budget::Unbounded));
    assert_eq!(
        of("lend").args.iter().map(|arg| arg.ty).collect::<Vec<_>>(),
        ["Sink<'_>", "Option<&str>", "&mut dyn Sponge"]
    );
}

#[test]
fn a_visitor_sees_every_hook_with_its_types() {
    struct Sizes(Vec<(&'static str, usize)>);
    impl Visitor<dyn Kinds> for Sizes {
        fn hook<H: Hook<Contract = dyn Kinds>>(&mut self, _: H) {
            self.0.push((H::SPEC.name, size_of::<H::Output>()));
        }
    }
    let mut sizes = Sizes(Vec::new());
    <dyn Kinds as Contract>::visit(&mut sizes);
    assert_eq!(sizes.0.len(), <dyn Kinds as Contract>::SPECS.len());
    assert_eq!(sizes.0[..3], [("gather", 4), ("choose", 4), ("observe", 0)]);
}
