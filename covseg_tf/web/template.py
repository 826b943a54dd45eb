"""The template of the report as a script, so that the page saves the same report.

A browser reads no Jinja, and the page's policy forbids to make scripts from text:
each template is written as a JavaScript generator when the site is built.
"""

import json

import jinja2
from jinja2 import nodes

_COMPARED = {"eq": "===", "ne": "!==", "gt": ">", "gteq": ">=", "lt": "<", "lteq": "<="}


def template_script(environment: jinja2.Environment, name: str) -> str:
    """Returns a template as a JavaScript module.

    Args:
        environment: Where the template is; it must escape what is filled in.
        name: The template's.

    Returns:
        A module with one export, `render(context)`, a generator of pieces of text.

    Raises:
        ValueError: If the template uses what is not translated here.
    """
    body = _body(environment, _parsed(environment, name).body, ("context",))
    return (
        f"// Made from {name} by covseg_tf.web.template: change that.\n"
        "import {filters, isTrue, member, range, shown} from './template.js';\n\n"
        f"export async function* render(context) {{\n{body}}}\n"
    )


def _parsed(environment, name):
    source = environment.loader.get_source(environment, name)[0]
    return environment.parse(source, name)


def _body(environment, parts, names):
    return "".join(_statement(environment, part, names) for part in parts)


def _statement(environment, node, names):
    match node:
        case nodes.Output():
            return "".join(_output(part, names) for part in node.nodes)
        case nodes.Include(template=nodes.Const(value=name)):
            return _body(environment, _parsed(environment, name).body, names)
        case nodes.For(target=nodes.Name(name=name), test=None, else_=[]):
            body = _body(environment, node.body, (*names, name))
            series = _expression(node.iter, names)
            return f"for await (const {name} of {series}) {{\n{body}}}\n"
        case nodes.If():
            branches = [(node.test, node.body)]
            branches += [(part.test, part.body) for part in node.elif_]
            text = " else ".join(
                f"if (isTrue({_expression(test, names)})) "
                f"{{\n{_body(environment, body, names)}}}"
                for test, body in branches
            )
            rest = _body(environment, node.else_, names)
            return f"{text} else {{\n{rest}}}\n"
    raise _untranslated(node)


def _output(node, names):
    if isinstance(node, nodes.TemplateData):
        return f"yield {json.dumps(node.data)};\n"
    return f"yield shown({_expression(node, names)});\n"


def _expression(node, names):
    def of(part):
        return _expression(part, names)

    match node:
        case nodes.Const(value=value):
            return json.dumps(value)
        case nodes.Name(name=name):
            return name if name in names else f"member(context, {json.dumps(name)})"
        case nodes.Getattr(node=inner, attr=name):
            return f"member({of(inner)}, {json.dumps(name)})"
        case nodes.Getitem(node=inner, arg=key):
            return f"member({of(inner)}, {of(key)})"
        case nodes.Tuple(items=items):
            return f"[{', '.join(map(of, items))}]"
        case nodes.Concat(nodes=parts):
            return " + ".join(f"String({of(part)})" for part in parts)
        case nodes.Filter(node=inner, name=name, args=[]):
            return f"filters.{name}({of(inner)})"
        case nodes.Call(node=nodes.Name(name="range"), args=[end]):
            return f"range({of(end)})"
        case nodes.Test(node=inner, name="none"):
            return f"({of(inner)} === null)"
        case nodes.Not(node=inner):
            return f"!isTrue({of(inner)})"
        case nodes.And(left=left, right=right) | nodes.Or(left=left, right=right):
            sign = "&&" if isinstance(node, nodes.And) else "||"
            return f"(isTrue({of(left)}) {sign} isTrue({of(right)}))"
        case nodes.Compare(expr=left, ops=[nodes.Operand(op=op, expr=right)]):
            if op in _COMPARED:
                return f"({of(left)} {_COMPARED[op]} {of(right)})"
    raise _untranslated(node)


def _untranslated(node):
    return ValueError(
        f"line {node.lineno} of the template uses {type(node).__name__}, which is not "
        "translated for the page; say it with what the other lines use."
    )
