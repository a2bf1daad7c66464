//! From a plugin object to its hookimpls, without running any of its code: no property, no `__getattr__`.

use crate::raw::{Obj, Res, assertion_error, build, optional_attr, python, state};

/// An object whose attributes are looked up by name, as `inspect.getattr_static` does it.
pub(crate) struct Searched {
    object: Obj,
    is_class: bool,
    is_module: bool,
    /// The object's own dict, if it has one.
    own: Option<Obj>,
    /// The dicts of its class, or of itself if it is one, in the order of inheritance.
    inherited: Vec<Obj>,
}

/// A function that can be a hook, and what may carry its marker.
pub(crate) struct Found {
    pub(crate) holder: Obj,
    value: Obj,
    binding: Binding,
}

enum Binding {
    /// Handed out as it is.
    None,
    /// A function of the object's class.
    Method(Obj),
    /// A class method, which the class binds.
    Class(Obj),
}

impl Found {
    /// The function, bound as `getattr` would bind it.
    pub(crate) fn function(&self) -> Res<Obj> {
        match &self.binding {
            Binding::None => Ok(self.value.clone()),
            Binding::Method(object) => state().method_type.call(&[&self.value, object]),
            Binding::Class(owner) => self.value.call_method(&state().names.get, &[owner, owner]),
        }
    }
}

impl Searched {
    pub(crate) fn new(object: &Obj) -> Res<Self> {
        let state = state();
        let is_class = object.isinstance(&state.type_type)?;
        let is_module = !is_class && object.isinstance(&state.module_type)?;
        let own = if is_class { None } else { object.own_attr(&state.names.dict)?.filter(Obj::is_dict) };
        let class = if is_class { object.clone() } else { object.type_of() };
        Ok(Self { object: object.clone(), is_class, is_module, own, inherited: dicts(&class)? })
    }

    pub(crate) fn find(&self, name: &Obj) -> Res<Option<Found>> {
        let state = state();
        let mut value = self.own.as_ref().map_or(Ok(None), |own| own.get(name))?;
        if let (Some(value), false) = (&value, self.is_module) {
            return Ok(as_it_is(value.clone()));
        }
        for dict in &self.inherited {
            if value.is_some() {
                break;
            }
            value = dict.get(name)?;
        }
        if value.is_none() && self.is_class {
            for dict in dicts(&self.object.type_of())? {
                value = dict.get(name)?;
                if value.is_some() {
                    break;
                }
            }
        }
        let Some(value) = value else { return Ok(None) };
        if value.is_exactly(&state.function_type) {
            let plain = self.is_class || self.is_module;
            let binding = if plain { Binding::None } else { Binding::Method(self.object.clone()) };
            return Ok(Some(Found { holder: value.clone(), value, binding }));
        }
        if value.is_exactly(&state.member_type) && !self.is_class && !self.is_module {
            // Reading a slot runs no code of the plugin.
            return Ok(self.object.own_attr(name)?.and_then(as_it_is));
        }
        if value.is_a(&state.staticmethod_type) {
            let function = value.attr(&state.names.func)?;
            return Ok(Some(Found { holder: value, value: function, binding: Binding::None }));
        }
        if value.is_a(&state.classmethod_type) {
            let owner = if self.is_class { self.object.clone() } else { self.object.type_of() };
            return Ok(Some(Found { holder: value.clone(), value, binding: Binding::Class(owner) }));
        }
        Ok(if value.is_exactly(&state.method_type) { as_it_is(value) } else { None })
    }

    /// Names that every object has are no hooks, unless a plugin defines them itself.
    fn is_objects_own(&self, name: &Obj) -> Res<bool> {
        if self.is_class || state().object_dict.get(name)?.is_none() {
            return Ok(false);
        }
        let others = self.inherited.split_last().map_or(&[][..], |(_, others)| others);
        for dict in others.iter().chain(&self.own) {
            if dict.get(name)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What an instance or a module holds itself is handed out unbound.
fn as_it_is(value: Obj) -> Option<Found> {
    let state = state();
    if value.is_exactly(&state.method_type) {
        let holder = value.attr(&state.names.func).ok()?;
        return Some(Found { holder, value, binding: Binding::None });
    }
    value.is_exactly(&state.function_type).then(|| Found { holder: value.clone(), value, binding: Binding::None })
}

/// Copies of the dicts of a class and its bases.
fn dicts(class: &Obj) -> Res<Vec<Obj>> {
    let state = state();
    let mut dicts = Vec::new();
    for each in state.type_mro.call_method(&state.names.get, &[class])?.items() {
        dicts.push(if each.is(&state.object_type) {
            state.object_dict.clone()
        } else {
            state.type_dict.call_method(&state.names.get, &[&each])?.call_method(&state.names.copy, &[])?
        });
    }
    Ok(dicts)
}

/// What a marker left on a function, or on the function within a class or static method.
pub(crate) fn marker_opts(holder: &Obj, marker: &Obj) -> Res<Option<Obj>> {
    if let Some(opts) = optional_attr(holder, marker)? {
        return Ok(Some(opts).filter(Obj::is_dict));
    }
    if holder.is_exactly(&state().function_type) {
        return Ok(None);
    }
    let Some(function) = optional_attr(holder, &state().names.func)? else {
        return Ok(None);
    };
    Ok(optional_attr(&function, marker)?.filter(Obj::is_dict))
}

/// `[(hook name, hookimpl, whether it was verified)]` for a plugin; raises before anything is changed.
///
/// `parse` is the manager's `parse_hookimpl_opts` if it is not the stock one.
pub(crate) fn find_impls(manager: &Obj, plugin: &Obj, plugin_name: &Obj, parse: Option<&Obj>) -> Res<Obj> {
    let names = &state().names;
    let hooks = manager.attr(&names.hook)?;
    let project = manager.attr(&names.project_name)?.display()?;
    let marker = Obj::name(&format!("{project}_impl"))?;
    let searched = Searched::new(plugin)?;
    let found = Obj::list(&[])?;
    for name in plugin.dir()?.to_list()?.items() {
        let Some((opts, function)) = (match parse {
            None => marked(&searched, &name, &marker)?,
            Some(parse) => parsed(&searched, plugin, &name, parse)?,
        }) else {
            continue;
        };
        complete(&opts)?;
        let hook_impl = build(plugin, plugin_name, &function, &opts)?;
        let specname = opts.get(&names.specname)?.unwrap_or_else(Obj::none);
        let hook_name = if specname.truth()? { specname } else { name };
        let mut verified = false;
        if let Some(hook) = optional_attr(&hooks, &hook_name)? {
            if hook.call_method(&names.has_spec, &[])?.truth()? {
                manager.call_method(&names.verify_hook, &[&hook, &hook_impl])?;
                verified = true;
            }
            hook.call_method(&names.check_order, &[&hook_impl])?;
        }
        found.append(&Obj::tuple(&[&hook_name, &hook_impl, &Obj::bool(verified)])?)?;
    }
    Ok(found)
}

fn marked(searched: &Searched, name: &Obj, marker: &Obj) -> Res<Option<(Obj, Obj)>> {
    if searched.is_objects_own(name)? {
        return Ok(None);
    }
    let Some(found) = searched.find(name)? else { return Ok(None) };
    let Some(opts) = marker_opts(&found.holder, marker)? else { return Ok(None) };
    Ok(Some((opts, found.function()?)))
}

fn parsed(searched: &Searched, plugin: &Obj, name: &Obj, parse: &Obj) -> Res<Option<(Obj, Obj)>> {
    let opts = parse.call(&[plugin, name])?;
    if opts.is_none() {
        return Ok(None);
    }
    match searched.find(name)? {
        Some(found) => Ok(Some((opts, found.function()?))),
        None => Err(assertion_error(&format!("{}.{} is not a hookable attribute", plugin.repr()?, name.display()?))),
    }
}

/// Managers may give options in part.
fn complete(opts: &Obj) -> Res<()> {
    let names = &state().names;
    if !opts.is_dict() {
        return python(c"crow_hooks._markers", "normalize_hookimpl_opts")?.call(&[opts]).map(drop);
    }
    for name in [&names.tryfirst, &names.trylast, &names.wrapper, &names.hookwrapper, &names.optionalhook] {
        if opts.get(name)?.is_none() {
            opts.set(name, &Obj::bool(false))?;
        }
    }
    if opts.get(&names.specname)?.is_none() {
        opts.set(&names.specname, &Obj::none())?;
    }
    Ok(())
}
