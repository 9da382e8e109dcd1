"""`xml`: a text becomes an object, by the rules of Ruby's XmlSimple, or fields by XPath."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.logstash.fields import Event, get, parse_reference, set_field, tag_failure
from pipeline.logstash.interpolation import interpolate
from pipeline.logstash.options import Given, Option, scalar_text
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option("string", required=True),
    "target": Option("string"),
    "store_xml": Option("boolean", True),
    "xpath": Option("hash", {}),
    "force_array": Option("boolean", True),
    "force_content": Option("boolean", False),
    "suppress_empty": Option("boolean", True),
    "namespaces": Option("hash", {}),
    "remove_namespaces": Option("boolean", False),
    "parse_options": Option("string", "", choices=("", "strict")),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}
_MAX_DEPTH: Final = 200


def build(given: Given, site: Site) -> Change:
    """Parse `source`, without entities and without the network."""
    try:
        from lxml import etree  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise given.position.error(
            "`xml` needs the library lxml.", 'Install it: pip install "kafka-log-pipeline[filters]".'
        ) from None
    source = site.path(given["source"], given.place("source"))
    store = given["store_xml"]
    if store and not given["target"]:
        raise given.position.error("`xml` needs the option `target`, or `store_xml => false`.")
    target = site.path(given["target"], given.place("target")) if given["target"] else ()
    namespaces = {name: scalar_text(value) for name, value in given.pairs("namespaces")}
    try:
        queries = [
            (etree.XPath(query, namespaces=namespaces or None), scalar_text(field))
            for query, field in given.pairs("xpath")
        ]
    except etree.XPathError as error:
        raise given.place("xpath").error(f"`xml`: the XPath cannot be used: {error}") from None
    arrays, content, empty = given["force_array"], given["force_content"], given["suppress_empty"]

    def run(event: Event, _origin: Origin) -> bool:
        text = get(event, source)
        if text.__class__ is list and len(text) == 1:
            text = text[0]
        if text is None:
            return False
        if text.__class__ is not str:
            tag_failure(event, "_xmlparsefailure")
            return False
        if not text.strip():
            return False
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=False)
        try:
            root = etree.fromstring(text.encode("utf-8", "replace"), parser)
        except (etree.XMLSyntaxError, ValueError):
            tag_failure(event, "_xmlparsefailure")
            return False
        if given["remove_namespaces"]:
            for element in root.iter(etree.Element):
                element.tag = etree.QName(element).localname
        matched = False
        for query, field in queries:
            found = query(root)
            values = [_text_of(etree, node) for node in (found if isinstance(found, list) else [found])]
            if values:
                matched = True
                set_field(event, parse_reference(interpolate(event, field)), values)
        if store:
            value = _simple(root, arrays, content, empty, 0)
            set_field(event, target, {} if value is None else value)
            matched = True
        return matched

    return Change(run)


def _text_of(etree: Any, node: Any) -> str:
    if isinstance(node, float):
        return str(int(node)) if node.is_integer() else str(node)
    if isinstance(node, bool):
        return "true" if node else "false"
    if etree.iselement(node):
        return str(etree.tostring(node, encoding="unicode", with_tail=False))
    return str(node)


def _simple(element: Any, arrays: bool, content: bool, empty: bool, depth: int) -> Any:
    """Make an object of an element: attributes and children by name; one with text alone is the text."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    made: dict[str, Any] = {_name(element, name): value for name, value in element.attrib.items()}
    texts = [element.text or ""]
    for child in element:
        texts.append(child.tail or "")
        if not isinstance(child.tag, str):
            continue
        value = _simple(child, arrays, content, empty, depth + 1)
        if value is None:
            continue
        name = _name(child, child.tag)
        if name in made:
            present = made[name]
            made[name] = [*present, value] if present.__class__ is list else [present, value]
        else:
            made[name] = [value] if arrays else value
    text = [part for part in texts if part.strip()]
    if not made:
        if text:
            return {"content": "".join(text)} if content else "".join(text)
        return None if empty else {}
    if text:
        made["content"] = text[0] if len(text) == 1 else text
    return made


def _name(element: Any, name: str) -> str:
    """Write a name with its prefix, as it stands in the text."""
    if not name.startswith("{"):
        return name
    space, _brace, local = name[1:].partition("}")
    prefix = next((prefix for prefix, uri in element.nsmap.items() if uri == space and prefix), None)
    return f"{prefix}:{local}" if prefix else local
