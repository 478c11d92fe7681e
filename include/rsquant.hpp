// rsquant for C++17: the C API of rsquant.h as classes that free what they hold. Header only.
//
//     rsquant::Graph graph = rsquant::Graph::from_onnx_file("model.onnx");
//     rsquant::Prepared prepared = rsquant::Prepared::make(graph, rsquant::QConfig::default_static());
//     prepared.calibrate({images, {16, 3, 224, 224}});                 // std::vector<float>, or pointer and shape
//     rsquant::Model model = prepared.convert();
//     rsquant::SessionOptions options;
//     options.max_batch = 16;
//     rsquant::Session session = rsquant::Session::make(model, options);
//     session.run({images, {16, 3, 224, 224}}, {logits, {16, 10}});    // allocates nothing
//
// Errors. What can fail throws rsquant::Error. With RSQUANT_NO_EXCEPTIONS defined nothing is thrown (and -fno-exceptions
// works): an Outcome<T> is then a Result<T>, which holds the value or the Error; without, it is T itself.
//
// Objects are move-only; an empty one (moved from, or made by its default constructor) stands for NULL. They may be
// destroyed in any order. rsquant.h says for each function which statuses there are and what may be shared by threads.
#ifndef RSQUANT_HPP
#define RSQUANT_HPP

#include "rsquant/outcome.hpp"
#include "rsquant/tensors.hpp"
#include "rsquant/handle.hpp"
#include "rsquant/context.hpp"
#include "rsquant/graph.hpp"
#include "rsquant/qconfig.hpp"
#include "rsquant/model.hpp"
#include "rsquant/recipe.hpp"
#include "rsquant/images.hpp"
#include "rsquant/prepared.hpp"
#include "rsquant/session.hpp"
#include "rsquant/compare.hpp"
#include "rsquant/graph_builder.hpp"
#include "rsquant/observer.hpp"
#include "rsquant/tune.hpp"
#include "rsquant/operator.hpp"

#endif  // RSQUANT_HPP
