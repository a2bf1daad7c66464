/* The floor of the benchmark: a callable that calls Python functions in a loop and collects what they return.
 * No names, no order, no rules: less than this no hook call can do. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    PyObject *functions; /* tuple, in call order */
    vectorcallfunc vectorcall;
} Floor;

/* Passes on the values of the keyword arguments by position, as they come. */
static PyObject *
floor_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Floor *self = (Floor *)callable;
    Py_ssize_t given = PyVectorcall_NARGS(nargsf) + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    Py_ssize_t count = PyTuple_GET_SIZE(self->functions);
    PyObject *slots[9];
    PyObject *results = PyList_New(0);
    if (results == NULL || given > 8) {
        return NULL;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        for (Py_ssize_t arg = 0; arg < given; arg++) {
            slots[arg + 1] = args[arg];
        }
        PyObject *result = PyObject_Vectorcall(
            PyTuple_GET_ITEM(self->functions, at), slots + 1, given | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (result == NULL) {
            Py_DECREF(results);
            return NULL;
        }
        if (result != Py_None && PyList_Append(results, result) < 0) {
            Py_DECREF(result);
            Py_DECREF(results);
            return NULL;
        }
        Py_DECREF(result);
    }
    return results;
}

static PyObject *
floor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *functions;
    if (!PyArg_ParseTuple(args, "O!", &PyTuple_Type, &functions)) {
        return NULL;
    }
    Floor *self = (Floor *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->functions = Py_NewRef(functions);
        self->vectorcall = floor_call;
    }
    return (PyObject *)self;
}

static void
floor_dealloc(PyObject *self)
{
    Py_XDECREF(((Floor *)self)->functions);
    Py_TYPE(self)->tp_free(self);
}

static PyTypeObject FloorType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "floor.Floor",
    .tp_basicsize = sizeof(Floor),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_new = floor_new,
    .tp_dealloc = floor_dealloc,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Floor, vectorcall),
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "floor", NULL, -1, NULL};

PyMODINIT_FUNC
PyInit_floor(void)
{
    PyObject *floor = PyModule_Create(&module);
    if (floor == NULL || PyModule_AddType(floor, &FloorType) < 0) {
        return NULL;
    }
    return floor;
}
